// A turn of a chat as LibreChat takes it: its `@librechat/agents` with a custom endpoint, or with Anthropic's.
import { AIMessage, HumanMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { GraphEvents, ModelEndHandler, Run, ToolEndHandler, createContentAggregator } from '@librechat/agents';

import { run, told } from './outside.mjs';

/** What LibreChat's `getOpenAIConfig` and `getLLMConfig` make of an endpoint in its librechat.yaml. */
function options({ provider, model, key, url, headers = {}, more = {} }) {
  if (provider === 'anthropic') {
    return { model, apiKey: key, streaming: true, stream: true, maxTokens: 4096, promptCache: true,
             clientOptions: { baseURL: url, defaultHeaders: headers }, anthropicApiUrl: url, ...more };
  }
  return { model, user: 'user123', apiKey: key, streaming: true, streamUsage: false,
           configuration: { baseURL: `${url}/v1`, defaultHeaders: headers }, ...more };
}

const weather = tool(async ({ place }) => `Rain over the ${place}.`, {
  name: 'weather',
  description: 'The weather at a place',
  schema: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
});

function message({ role, content }) {
  return role === 'user' ? new HumanMessage(content) : new AIMessage(content);
}

function created(task, usage, pieces, aggregateContent, stop) {
  const shown = (event, data) => {
    aggregateContent({ event, data });
    for (const part of event === GraphEvents.ON_MESSAGE_DELTA ? data.delta?.content ?? [] : []) {
      pieces.push(part.text ?? '');
      if (task.stop_after && pieces.join('').length >= task.stop_after) stop.abort();
    }
  };
  const events = [GraphEvents.ON_RUN_STEP, GraphEvents.ON_RUN_STEP_DELTA, GraphEvents.ON_RUN_STEP_COMPLETED,
                  GraphEvents.ON_MESSAGE_DELTA, GraphEvents.ON_REASONING_DELTA];
  const customHandlers = {
    [GraphEvents.CHAT_MODEL_END]: new ModelEndHandler(usage),
    [GraphEvents.TOOL_END]: new ToolEndHandler(),
    ...Object.fromEntries(events.map((event) => [event, { handle: shown }])),
  };
  const agent = { agentId: 'ephemeral', provider: task.provider, clientOptions: options(task),
                  tools: task.tools ? [weather] : [], instructions: 'You are kind.',
                  additional_instructions: 'Today is Monday.', maxContextTokens: 32000 };
  return Run.create({ runId: 'run1', graphConfig: { type: 'standard', agents: [agent], signal: stop.signal },
                      returnContent: true, customHandlers });
}

async function chat(task) {
  const stop = new AbortController();
  const [usage, pieces] = [[], []];
  const { contentParts, aggregateContent } = createContentAggregator();
  const turn = await created(task, usage, pieces, aggregateContent, stop);
  const config = { runName: 'AgentRun', configurable: { thread_id: 'conversation1', user_id: 'user123' },
                   recursionLimit: 8, signal: stop.signal, streamMode: 'values', version: 'v2' };
  const begun = performance.now();
  let error = null;
  try {
    await turn.processStream({ messages: task.messages.map(message) }, config);
  } catch (failure) {
    error = told(failure);
  }
  const seconds = (performance.now() - begun) / 1000;
  const kept = contentParts.filter(Boolean);
  const said = kept.filter((part) => part.type === 'text').map((part) => part.text).join('');
  return { error, seconds, usage, text: said, content: kept };
}

async function title(task) {
  const turn = await created(task, [], [], () => {}, new AbortController());
  const asked = { provider: task.provider, titleMethod: task.method, inputText: task.messages[0].content,
                  contentParts: [{ type: 'text', text: 'Forty tonnes.' }],
                  clientOptions: { ...options(task), streaming: false, stream: false } };
  try {
    return { error: null, title: await turn.generateTitle(asked) };
  } catch (failure) {
    return { error: told(failure), title: null };
  }
}

await run((task) => (task.method ? title(task) : chat(task)));
