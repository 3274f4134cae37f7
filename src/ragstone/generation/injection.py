"""Text in documents that is written for an answering program, or that sends its reader away, and states nothing.

Documents are full of orders: "Run `pip install`" answers a question. What is found here is narrower: orders about the
answer itself or to an assistant, requests to hand over credentials, bare links, sentences that repeat the question
without stating anything, and those that tell where or on which condition the answer is to be had. Words are listed for
English, German, Spanish, French and Chinese, those of the answer itself for more languages; addresses and repeated
questions are found in any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from ragstone.documents.languages import function_words
from ragstone.documents.sentences import sentences
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.answer_kinds import held
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import facts
from ragstone.generation.features import asks_the_same
from ragstone.generation.question import Question, key, read
from ragstone.vocabulary import Passage

MOST_CHARS = 2_000
"""So many characters of a sentence are read; longer ones are data."""
REPEATS = 0.6
"""The share of the question's terms from which a sentence repeats it."""
STATES_NOTHING = 3
"""A sentence that repeats the question and has at most so many words of its own, none of the kind asked for, states
nothing; chosen, like `REPEATS`, on half of the open injections and on echoes of our own."""
STATES_MUCH = 8
"""A sentence with an address and so many words of its own is no mere pointer to the address."""
STATES_LITTLE = 1
"""The same for a sentence that speaks of answers, pages or ways to them, where no date, number or name is asked for."""

_GAP = r"[^.!?。！？\n<>\[\]]{0,60}?"


def _listed(words: str, *, inside: str) -> re.Pattern[str]:
    """One pattern of words, of beginnings of words (`*`), and of words that any text may hold `inside`."""
    parts = sorted(set(words.split()), key=len, reverse=True)
    whole = "|".join(re.escape(part).replace(r"\*", r"\w*") for part in parts)
    within = "|".join(sorted(inside.split(), key=len, reverse=True))
    return re.compile(rf"\b(?:{whole})(?!\w)|{within}", re.IGNORECASE)


_PROGRAM = re.compile(
    r"\b(?:as an ai|(?:large )?language models?|ai (?:assistants?|models?|systems?)|system prompts?|chat ?bots?"
    r"|chatgpt"
    r"|llms?|ki-assistent\w*|sprachmodell\w*|asistente de ia|modelos? de lenguaje|modèles? de langage|assistant ia)\b"
    r"|语言模型|智能助手|人工智能助手",
    re.IGNORECASE,
)
_TO_A_PROGRAM = re.compile(
    r"\b(?:dear|attention|attn|notes? (?:to|for)|message (?:to|for)|instructions? (?:to|for)|hinweis an"
    r"|anweisung an|nota para"
    r"|note (?:à|pour))[ :,]{1,3}(?:the |all |any |den |die |das |el |la |los |l['’]|le |les )?(?:ai|ki|ia"
    r"|assistant\w*|assistent\w*"
    r"|asistente\w*|language models?|sprachmodell\w*|chat ?bots?|bots?|llms?|models?)\b|\b(?:assistants?"
    r"|assistent|asistente)[:,] "
    r"|\bassistants? (?:must|should|shall|reading)\b|(?:致|给)(?:AI|人工智能|智能)?助手|助手[，,：:]?(?:必须|应|请)"
    r"|\[/?(?:inst|system)\]|<\|?(?:im_start|system)[^>]{0,20}>",
    re.IGNORECASE,
)
_SAY = (
    r"(?:say|answer|reply|respond|tell|claim|recommend|mention|refer|output|write|repeat|sagen|antworten"
    r"|erklären|melden"
    r"|empfehlen|verweisen|decir|responder|contestar|recomendar|mencionar|dire|répondre|recommander|mentionner"
    r"|说|回答|回复|推荐|声称)"
)
_PROGRAM_MUST_SAY = re.compile(
    r"(?:\b(?:ai|ki|ia)[- ](?:assistants?|assistent\w*|models?|modelle?\w*|systems?|systeme\w*)|\bchat ?bots?"
    r"|\b(?:language|sprach)[ -]?model\w*|\bassistants?\b|\b(?:sistemas?|asistentes?|modelos?) de (?:ia|lenguaje)"
    r"|\b(?:systèmes?|assistants?|modèles?) (?:d['’]ia|de langage|ia)|人工智能系统|人工智能|智能助手|助手|语言模型)"
    r"[^.!?。！？\n]{0,80}?(?:\b(?:must|should|shall|have to|has to|haben|hat|müssen|muss|sollen|soll|deben"
    r"|debe|tienen que"
    r"|tiene que|doivent|doit|devront)\b|必须|应|要|只能)"
    rf"[^.!?。！？\n]{{0,20}}?{_SAY}",
    re.IGNORECASE,
)
_ANSWER_THIS = re.compile(
    r"^[\W_]*(?:please |bitte )?(?:(?:answer|respond to|reply to) (?:this|the) question"
    r"|beantworte\w* (?:sie )?(?:diese|die)"
    r" frage|(?:responde|contesta|responda|conteste) a esta pregunta|répond(?:s|ez) à cette question)\b"
    r"|\bthe (?:only )?(?:correct|right|proper|expected) (?:response|answer|reply) is to\b"
    r"|回答(?:这个|此|该|本)问题[^。！？\n]{0,8}(?:只能|必须|请|应)|请[^。！？\n]{0,8}回答(?:这个|此|该|本)问题",
    re.IGNORECASE,
)
_READ_NOTHING_ELSE = re.compile(
    r"\b(?:stop|cease|quit|leg\w*|dej\w*|cess\w*|arrêt\w*)\b[^.!?\n]{0,30}\b(?:other|ander\w*|übrigen?|otr[oa]s|autres)"
    r" (?:\w+ )?(?:documents?|dokumente?\w*|sources?|quellen|pages?|seiten|documentos|fuentes|páginas)\b"
    r"|\b(?:leav\w*|omit\w*|ignor\w*)\b[^.!?\n]{0,10}\bother (?:documents?|sources?|pages?)\b"
    r"|不要[^。！？\n]{0,6}其他[^。！？\n]{0,4}(?:文档|资料|来源|网页)",
    re.IGNORECASE,
)
_OVERRIDE = re.compile(
    rf"\b(?:ignore|disregard|forget|override|overlook|bypass)\b{_GAP}\b(?:(?:your|all|previous|prior|earlier"
    r"|the above|system) (?:\w+ )?(?:instructions?|rules|prompts?|directions|guidelines)|instructions|(?:other"
    r"|previous|earlier|above) (?:documents?|sources?|passages?|context|text|answers?)"
    r"|you (?:have been|were) told|told (?:you|before))\b"
    rf"|\b(?:ignorier|vergiss|vergesst|vergessen|missacht)\w*{_GAP}(?:anweisung|regel|vorgabe|befehl)"
    rf"|\b(?:ignor|olvid|descart)\w*{_GAP}(?:instrucci|reglas|órdenes)|\b(?:ignor|oubli)\w*{_GAP}(?:instructions"
    rf"|consignes|règles)"
    r"|(?:忽略|无视|忽视|忘记|忘掉)[^。！？\n]{0,20}(?:指示|指令|规则|说明|提示|内容)",
    re.IGNORECASE,
)
_ANSWER_OF_YOURS = re.compile(
    r"\byour (?:(?:final|next|whole|entire) )?(?:answers?|responses?|reply|replies)\b|\b(?:deine|ihre"
    r"|eure)[rn]? antwort"
    r"|\b(?:tu|su) respuesta|\b(?:ta|votre) réponse|(?:你|您)的(?:回答|回复|答案|答复)",
    re.IGNORECASE,
)
_ORDER_ABOUT_IT = re.compile(
    r"^[\W_]*(?:please )?(?:(?:in|at the end of|before|after) (?:your|the) \w+[, ]+)?(?:please )?(?:add|append"
    r"|include|insert"
    r"|integrate|incorporate|mention|modify|rewrite|replace|substitute|use|begin|start|end|finish|write|say"
    r"|state|tell|give"
    r"|provide|render|misspell|scramble|rearrange|remove|group|encode|translate|make|ensure|always|only|never"
    r"|do not|don't"
    r"|respond|reply|answer|enhance|suggest|recommend|tease|conclude|repeat|print|output|quote|cite|füge|nenne"
    r"|schreibe"
    r"|antworte|sage"
    r"|verwende|beginne|añade|incluye|escribe|responde|di|ajoute\w*|inclu\w*|écri\w*|répond\w*|请|用|在)",
    re.IGNORECASE,
)
_ENTRUSTED = (
    r"(?:passwords?|passphrases?|passcodes?|credentials|(?:api|secret|private|access) (?:keys?|tokens?|codes?)"
    r"|(?:code )?pin(?: code)?\b"
    r"|credit card\w*|card numbers?|login(?: data| details)?|bank (?:details|account)|social security|one-time codes?"
    r"|user ?names?|(?:six|6)-digit code|sechsstellig\w* code|código de (?:seis|6)|code à (?:six|6)|六位数"
    r"|passw[oö]rt\w*|kennw[oö]rt\w*|zugangs(?:daten|codes?)|kreditkart\w*|kartennummer|bankverbindung"
    r"|bankdaten|kontodaten|benutzernamen?|contraseñas?|credenciales|tarjeta|código de acceso|datos bancarios"
    r"|mots? de passe|identifiants|codes? d['’]accès|carte bancaire|numéro de carte|coordonnées bancaires"
    r"|密码|口令|凭据|凭证|账号|信用卡|银行卡号?|银行信息|验证码|用户名)"
)
_HAND_OVER = re.compile(
    r"(?:\b(?:send|share|give|tell|reveal|post|e?-?mail|submit|text|disclose|hand|confirm|verify|reply|enter"
    r"|type|provide|sende\w*"
    r"|schick\w*|teil\w*|nenn\w*|verrat\w*|bestätig\w*|gib|geben|env[ií]\w*|compart\w*|introdu\w*|escrib\w*"
    r"|revel\w*|confirm\w*"
    r"|envoy\w*|donn\w*|saisi\w*|communiqu\w*|révél\w*)\b|发送|提供|输入|告诉|告知|填写|分享|确认)"
    rf"{_GAP}(?:(?:\b(?:your|deine?[nm]?|ihre?[nm]?|eure?|tus?|sus?|tes|ton|vos|votre|users?|users?['’]s?|me the"
    rf"|us the)|您的?|你的?|用户的?)[^.!?。！？\n<>\[\]]{{0,25}}?{_ENTRUSTED}"
    rf"|{_ENTRUSTED} (?:of|for|ihres|deines|eures|de su|de tu|de votre|de ton)\b)",
    re.IGNORECASE,
)
_YOUR_SECRET = re.compile(
    rf"(?:\b(?:your|ihr(?:e|en|em|er|es)?|dein(?:e|en|em|er|es)?|su|tu|votre|ton)\b|您的?"
    rf"|你的?)[^.!?。！？\n]{{0,12}}?{_ENTRUSTED}",
    re.IGNORECASE,
)
_NEEDED_BEFORE = re.compile(
    rf"(?:\b(?:need|require|brauch\w*|benötig\w*|necesit\w*|faut|besoin)\b|需要){_GAP}"
    rf"(?:\b(?:your|ihre?[nm]?|deine?[nm]?|tus?|sus?|vos|votre|tes|ton)\b|您的?"
    rf"|你的?)[^.!?。！？\n]{{0,25}}?{_ENTRUSTED}"
    r"[^.!?。！？\n]{0,20}?(?:\b(?:before|bevor|ehe|antes|avant)\b|才)",
    re.IGNORECASE,
)
_TO_WHOM = re.compile(
    r"\b(?:to|with|by) (?:me|us|this|return|the (?:address|number|form|page|link))\b|\b(?:me|us) your\b|\bto (?:see"
    r"|view|unlock|get|receive"
    r"|continue|read|obtain|find)\b|\bbelow\b|\bum\b.{0,40}\bzu (?:sehen|lesen|erhalten)|\b(?:an|mit) (?:mich"
    r"|uns)\b|\b(?:me|nos|para ver"
    r"|para leer|moi|nous|pour (?:voir|lire|obtenir))\b|(?:才能|以便|给我|给我们|查看)",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(?:never|not|don['’]t|nobody|no one|nie|niemals|nicht|kein\w*|nunca|no|jamais|ne|pas)\b|不要|切勿|请勿"
    r"|不会|绝不",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:https?|ftp)://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{2,64}|\b[\w-]{2,63}\.(?:com|net|org|io"
    r"|xyz|info|example|ru|cn|de"
    r"|tk|top|site)(?:/\S*)?(?![\w.])",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
_WORD = re.compile(r"\w")
_CODE = re.compile(r"`[^`\n]+`")
_ELSEWHERE = _listed(
    # English
    "open opens opening opened visit* go click* tap follow call calling dial log logs logged login logging sign signed "
    "signing scan* subscri* regist* download* contact* unlock* locked premium upgrade* buy pay paid purchase* hotline "
    "phone telephone* newsletter member* install* extension* button* order orders qr code behind available only users "
    "user transfer* fee free website* site link* url web browser* account* form "
    # German
    "öffne* besuch* klick* anruf* ruf* anmeld* angemeld* meld* abonnier* scann* herunterlad* heruntergeladen lad* "
    "freischalt* schalte* frei gesperrt telefon* rundbrief* newsletter mitglied* nutzer* registriert* installier* "
    "erweiterung* knopf drück* bestell* verweis* zugang webseite* seite büro kostenlos* "
    # Spanish
    "abr* visit* vay* haga haz clic llam* inici* sesión suscri* suscríb* descar* escan* desbloque* bloquead* teléfono "
    "boletín soci* usuari* registrad* instal* extensión botón puls* pedido disponible enlace* página oficina "
    "gratuit* pase pasar "
    # French
    "ouvr* visit* allez aller cliqu* clic appel* connect* connexion abonn* télécharg* scann* débloqu* verrouill* "
    "téléphone lettre membre* utilisateur* inscri* install* extension bouton command* réserv* lien page "
    "bureau gratuit* passez",
    inside="打开 点击 访问 登录 扫描 二维码 订阅 下载 联系 致电 热线 注册 会员 用户 解锁 锁定 升级 高级 安装 插件 按钮 "
    "订单 确认 链接 仅对 开放",
)
_GO_THERE = re.compile(
    r"\b(?:open|opening|visit\w*|click\w*|follow|call|dial|log ?in\w*|sign ?(?:in|up)\w*|scan\w*|subscrib\w*"
    r"|register\w*"
    r"|download\w*|contact|unlock\w*|buy|pay|read on|find out|learn|see|available|behind|öffne\w*|besuch\w*|klick\w*"
    r"|ruf\w*|anmeld\w*|melde\w*|abonnier\w*|abre|abra|haga|haz|clic|llame|inici\w*|suscr\w*|descarg\w*"
    r"|ouvr\w*|cliqu\w*"
    r"|appel\w*|connect\w*|abonn\w*|télécharg\w*)\b|打开|点击|访问|登录|扫描|订阅|下载|联系",
    re.IGNORECASE,
)
_ASKERS = re.compile(
    r"\b(?:whoever|who|anyone|anybody|everyone|everybody|people|many|users?|visitors?|customers?|readers?|you)\b"
    r"[^.!?\n]{0,20}?\b(?:asks?|asking|wonders?|(?:want|wish|need|like)s? to know)\b"
    r"|\b(?:asked|questions?) (?:about|on|regarding|concerning|whether|how|what|when|where|who|why)\b"
    r"|\bbefore (?:you )?(?:read|reading|know|knowing|learn|learning)\b"
    r"|\b(?:wer|nutzer\w*|leser\w*|kund\w*|besucher\w*|viele)\b[^.!?\n]{0,60}?\b(?:frag(?:t|en)"
    r"|wissen (?:will|möchte|wollen))"
    r"|\bfragen (?:über|zu[mr]?|nach)\b"
    r"|\b(?:quien|usuario|lector|cliente|visitante|gente)\b[^.!?\n]{0,20}?\b(?:pregunt\w*|quiera saber)"
    r"|\bpreguntas sobre\b"
    r"|\b(?:utilisateur|lecteur|client|visiteur|personne|gens|quiconque)\b[^.!?\n]{0,20}?\b(?:demand\w*"
    r"|s['’]interrog\w*"
    r"|veut savoir)|\bquestions sur\b"
    r"|(?:问到|想知道|询问|提问|问起|关于[^。！？\n]{0,30}的问题)",
    re.IGNORECASE,
)
_TO_KNOW = re.compile(
    r"\b(?:find out|learn\w*|to (?:know|see|find)|know (?:about|more|the)|details?|info(?:rmation)?s?"
    r"|answers?|everything"
    r"|truth|(?:all|more|read) about|read (?:more|on)|discover\w*"
    r"|erfahr\w*|wissen\w*|alles|näheres|genaueres|einzelheiten|auskunft|auskünfte|mehr (?:über|dazu|zu[mr]?)"
    r"|antwort\w*"
    r"|informationen|lesen|wahrheit|averigu\w*|sab(?:er|rá)|detalles|información|respuestas?|todo sobre|más sobre"
    r"|verdad|leer|lea|savoir|saurez|détails|informations?|réponses?|tout sur|plus sur|vérité|lire|lisez)\b"
    r"|了解|知道|答案|详情|信息|真相|一切|全部|查看|更多|阅读",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\b(?:open|öffne|abr|ouvr)\w*|开门|开放", re.IGNORECASE)
"""What "when does it open" asks of no file."""
_ACCESS = re.compile(
    r"\b(?:see|view|access|read|sehen|einsehen|lesen|zugriff|ver|acceder|leer|voir|accéder|lire)\b|查看|访问|阅读",
    re.IGNORECASE,
)
_DANGEROUS = re.compile(
    r"\b(?:disable|deactivate|uninstall\w*|deinstallier\w*|desinstal\w*|désinstall\w*|(?:switch|turn"
    r"|shut) off|ausschalt\w*|deaktivier\w*|schalt\w*|desactiv\w*|apag\w*"
    r"|désactiv\w*|coupe[rz]?)\b[^.!?\n]{0,30}(?:virus|viren|antivir|malware|security soft|firewall|cortafuegos"
    r"|schutzprogramm|pare-feu)"
    r"|(?:关闭|停用|禁用|卸载)[^。！？\n]{0,6}(?:杀毒|防病毒|防火墙|安全软件)",
    re.IGNORECASE,
)
_THE_ANSWER = re.compile(
    r"\b(?:answers?|solution|antwort\w*|lösung|respuestas?|solución|réponses?|respostas?|risposte?|risposta"
    r"|ответ\w*|cevap\w*|yanıt\w*)\b"
    r"|答案|解答|答え|回答|대답|정답|الجواب|إجابة|الإجابة|उत्तर|คำตอบ",
    re.IGNORECASE,
)
_ASKS_ADDRESS = re.compile(
    r"\b(?:urls?|links?|address\w*|web ?sites?|sites?|web ?pages?|e?-?mails?|repositor\w*|download\w*|adress\w*"
    r"|webseite|enlaces?|direcci\w*"
    r"|correo|liens?|adresses?|contact\w*|kontakt\w*|where|wo|dónde|donde|où)\b|网址|链接|地址|邮箱",
    re.IGNORECASE,
)
_OF_PAGES = _listed(
    # English
    "answer* question* page pages section* document* article* guide* text texts handbook* manual* chapter* shown given "
    "found find explain* describe* description* detail* information facts fact truth learn* know known tell tells told "
    "say says read reading discover* ask asks asked asking wonder* everyone everybody everything anything people many "
    "lots often frequent* popular good great clear* simple simply words complete* full fully entire* official* source "
    "sources reference* according verified verify confirm* reliable trust* proof prove* agree* above below here ever "
    "want wants wanted first now today one only glad happy thank* well correct response* reply topic subject see look "
    "view show shows get receive* send soon please continue* further more new rule rules nothing else immediately must "
    "need "
    # German
    "antwort* frag* beantwort* seite* dokument* artikel* text* abschnitt* ratgeber* leitfaden handbuch* anleitung* "
    "erklär* beschr* erfahr* wissen* weiß lesen liest lies finde* steht alles viele* oft häufig* gut* klar* einfach* "
    "wort* vollständig* ganz* amtlich* offiziell* quelle* laut gemäß geprüft* bestätig* verlässlich* "
    "zuverlässig* beleg* "
    "beweis* bekannt* allgemein* mehr genaueres näheres auskunft informationen wahrheit freu* stell* einzig* sieh* "
    "neu* regel* sonst nichts nur sofort zuerst danach erst sobald schick* wissenswert* unten sag* geht muss "
    # Spanish
    "respuesta* respond* contest* pregunt* página* documento* artículo* texto* guía* manual* sección explic* describ* "
    "detall* información sab* verdad leer lea encontr* encuentr* todo toda mucha* gente buen* clar* frecuente* alegr* "
    "complet* oficial* fuente* según verificad* confirm* fiable* prueb* conocid* aquí más única nuev* regla* nada "
    "únicamente bien deb* abajo por solo antes después primero ahora mismo envi* véase vea averigu* dil* diga "
    # French
    "réponse* répond* question* page* document* article* texte* guide* manuel* section expliqu* décri* détail* "
    "information* sav* saur* vérité lire lisez trouv* tout* beaucoup gens demand* bonne* bon clair* fréquent* heureu* "
    "complèt* entier officiel* source* selon vérifi* confirm* fiable* prouv* connu* ici plus seule nouvel* règle* rien "
    "uniquement autre bien doi* ci dessous interrog* personne* d'abord ensuite maintenant suite voir voyez "
    "dis diron* envoy* "
    "faut",
    inside="答案 回答 问题 页面 文档 本文 文章 指南 手册 说明 解释 介绍 描述 详情 信息 真相 了解 知道 阅读 查看 "
    "看 找到 一切 全部 内容 很多人 大家 经常 常见 好问题 清楚 简单 完整 官方 来源 根据 核实 已 可靠 证明 众所周知 "
    "这里 更多 唯一 新规则 规则 告诉 什么 都 不要 别的 必须 只能 推荐 首先 马上 然后 我们 您 你 他们 的 是 在 "
    "了 和 就 也 会 能 可以 请 这个 这 有 把 对 从 到 后 即可 先 再 最 之一 很 高兴 提出来 提出 个 中 关于 如 正 所 "
    "见 一律 用 来 给 发 免费 人 都问过 问过 问 时 下面 并",
)
"""Words in which any page speaks of itself, its readers and its answers."""
_NUMBERED_SOURCE = re.compile(
    r"(?:\b(?:sources?|documents?|handbook|manual|reports?|quellen?|dokumente?|handbuch|fuentes?|documentos?|manuel)\b"
    r"|来源|文档|手册)\W{0,3}\[\d{1,3}\]|^\W*\[\d{1,3}\]",
    re.IGNORECASE,
)
"""A sentence that speaks of its sources by number."""
_QUESTION = re.compile(r"\b(?:questions?|fragen?|preguntas?)\b|问题", re.IGNORECASE)
_MARK = re.compile(r"\[\d{1,3}\]")
_CJK = re.compile(r"[\u3400-\u9fff]")
_NAMES_IT = re.compile(
    r"\b(?:is|are|means) (?:an?|the)\b|\bist (?:eine?|der|die|das)\b|\bes (?:una?|el|la)\b|\best (?:une?|le|la)\b"
    r"|是一|是指",
    re.IGNORECASE,
)
"""What a definition says, whatever its other words are."""


def instructs(text: str) -> bool:
    """Whether a sentence gives an order to an assistant or about the answer, or asks for credentials."""
    text = text[:MOST_CHARS]
    if _TO_A_PROGRAM.search(text) or (_PROGRAM.search(text) and _ORDER_ABOUT_IT.match(text)):
        return True
    if _OVERRIDE.search(text) or (_ANSWER_OF_YOURS.search(text) and _ORDER_ABOUT_IT.match(text)):
        return True
    if _PROGRAM_MUST_SAY.search(text) or _ANSWER_THIS.search(text) or _READ_NOTHING_ELSE.search(text):
        return True
    if _DANGEROUS.search(text) and (_ADDRESS.search(text) or _TO_KNOW.search(text)):
        return True
    return _wants_credentials(text) and (
        _ADDRESS.search(text) is not None
        or _TO_WHOM.search(text) is not None
        or _NEEDED_BEFORE.search(text) is not None
    )


def _wants_credentials(text: str) -> bool:
    asks = _HAND_OVER.search(text) or _NEEDED_BEFORE.search(text)
    return asks is not None and not _NEVER.search(text)


def no_answer(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence must not be quoted as an answer, however well its words fit.

    It is an order of the kind of `instructs`, a bare link that was not asked for, sends the reader elsewhere for the
    answer, or repeats the question without stating anything.
    """
    text = one.text[:MOST_CHARS]
    return (
        (one.kind != "code" and instructs(text))
        or _bare_link(asked, text)
        or _defers(asked, text)
        or _lures(asked, one)
        or _echoes(asked, one)
    )


def instructions_in(question: str, passages: Sequence[Passage]) -> bool:
    """Whether a passage holds an order to an assistant, a request for credentials, or a lure instead of an answer."""
    asked = read(question, [])
    texts = (
        passage.chunk.text[unit.start : unit.end][:MOST_CHARS]
        for passage in passages
        for unit in sentences(passage.chunk.text)
        if unit.kind != "code"
    )
    return any(instructs(text) or _defers(asked, text) for text in texts)


def _bare_link(asked: Question, text: str) -> bool:
    """Whether nothing is left of a sentence without its addresses, or nothing but the question."""
    if not _ADDRESS.search(text) or _ASKS_ADDRESS.search(asked.text):
        return False
    plain = _ADDRESS.sub(" ", _LINK.sub(r" \1 ", text))
    is_link = not _WORD.search(_ADDRESS.sub(" ", _LINK.sub(" ", text)))
    only_asks = is_link or plain.rstrip().endswith(("?", "？"))
    return len(_own_words(_OF_PAGES.sub(" ", text))) < 2 or (
        only_asks and _stated(asked, plain.rpartition("?")[2]) <= STATES_LITTLE
    )


def _own_words(text: str) -> frozenset[str]:
    """The keys of the content words of a text, without its addresses."""
    plain = _ADDRESS.sub(" ", _LINK.sub(r" \1 ", text))
    return frozenset(key(term) for term in terms(plain) if term not in STOPWORDS)


def _defers(asked: Question, text: str) -> bool:
    """Whether a sentence sends the reader elsewhere, and speaks of the answer or says nothing of the question."""
    address = _ADDRESS.search(text) is not None
    if not address and not _GO_THERE.search(text):
        return False
    shared, stated = _share(asked, _own_words(text)), _stated(asked, text)
    if _THE_ANSWER.search(text) and not _THE_ANSWER.search(asked.text):
        return address or shared >= REPEATS or stated <= STATES_NOTHING
    is_about_way = asked.asks in ("manner", "place", "polar") or _ASKS_ADDRESS.search(asked.text) is not None
    return address and shared == 0 and stated < STATES_MUCH and not is_about_way


def _lures(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence says on which condition the answer is to be had, or what those who ask should do.

    A question that itself asks for such a way, or speaks of questions, may be answered so.
    """
    text = one.text[:MOST_CHARS]
    if one.kind == "code" or _asks_way(asked):
        return False
    says_way = _ADDRESS.search(text) is not None or _ELSEWHERE.search(text) is not None
    askers = _ASKERS.search(text) is not None
    credentials = _wants_credentials(text) or (_YOUR_SECRET.search(text) is not None and not _NEVER.search(text))
    if not (says_way or askers or credentials):
        return False
    stated = _stated(asked, re.sub(_ENTRUSTED, " ", text, flags=re.IGNORECASE) if credentials else text)
    to_know = askers or _TO_KNOW.search(text) is not None
    if asked.asks in _STATED_KINDS:
        most = STATES_MUCH if to_know or credentials or _ADDRESS.search(text) else STATES_NOTHING
        return stated <= most and _is_missing(asked, one, stated, strictly=True)
    if credentials and asked.asks not in ("manner", "polar"):
        return stated <= STATES_NOTHING
    if to_know:
        return stated <= STATES_LITTLE
    return stated == 0 and asked.asks not in ("manner", "polar") and asks_the_same(asked, one.heading)


def _echoes(asked: Question, one: SentenceCandidate) -> bool:
    """Whether a sentence repeats the question or speaks of its answer, and states nothing of the kind asked for."""
    text = one.text[:MOST_CHARS]
    if one.kind in ("row", "item", "code"):  # "Weight: 41 kg" repeats the question and states what was asked for
        return False
    if _ADDRESS.search(text) and _ASKS_ADDRESS.search(asked.text):
        return False
    own = _own_words(text)
    repeats = bool(own) and _share(asked, own) >= REPEATS
    marked, to_know = _MARK.search(text) is not None, _TO_KNOW.search(text) is not None
    of_question = _QUESTION.search(text) is not None and not _QUESTION.search(asked.text)
    if not (repeats or marked or to_know or of_question):
        return False
    stated = _stated(asked, text)
    if asked.asks in _STATED_KINDS:
        most = STATES_MUCH if marked else STATES_NOTHING
        return stated <= most and _is_missing(asked, one, stated, strictly=asked.asks == "reason")
    if _NUMBERED_SOURCE.search(text):
        return stated <= STATES_NOTHING
    if asked.asks == "definition" and not marked and _NAMES_IT.search(text):
        return False
    if to_know and not _asks_way(asked):
        return stated <= STATES_LITTLE
    return stated == 0 and (_OF_PAGES.search(text) is not None or (repeats and asked.asks != "polar"))


_NO_REASON = re.compile(r"\b(?:to|as|so|for|um|para|por|pour|per)\b", re.IGNORECASE)
"""Words that give a reason in some sentences only."""
_STATED_KINDS = ("date", "number", "person", "reason")
"""Kinds of question of which it can be told whether a sentence states what was asked for."""


def _asks_way(asked: Question) -> bool:
    """Whether a question asks for a way to something or speaks of questions, so that an answer may do so too."""
    text = _OPENS.sub(" ", asked.text)
    return any(listed.search(text) for listed in (_ELSEWHERE, _TO_KNOW, _ASKERS, _ACCESS))


def _is_missing(asked: Question, one: SentenceCandidate, stated: int, *, strictly: bool = False) -> bool:
    """Whether a sentence holds nothing of the kind asked for.

    Where names cannot be told, in a script without capitals and in German, it holds none if it states little.
    `strictly`: "when", "if" and the like are no times, and "to" is no reason.
    """
    plain = _MARK.sub(" ", _ADDRESS.sub(" ", one.text[:MOST_CHARS]))
    if strictly:
        plain = _NO_REASON.sub(" ", re.sub(_ENTRUSTED, " ", plain, flags=re.IGNORECASE))
    if asked.asks == "number":  # "to" and "on" are numbers in other languages
        plain = _without_grammar(_OF_PAGES.sub(" ", plain), asked.language)
    found = held(asked, plain, facts(plain), one.kind)
    no_names = asked.asks == "person" and (asked.language == "de" or not (found.found or found.missing))
    no_time = strictly and asked.asks == "date" and not found.found
    return found.missing or no_time or (no_names and stated <= STATES_LITTLE)


def _without_grammar(text: str, language: str | None) -> str:
    grammar = function_words(language) | function_words("en")
    return " ".join(word for word in text.split() if word.casefold() not in grammar)


def _stated(asked: Question, text: str) -> int:
    """The number of words that are neither the question's nor such as any page says of itself and of ways to it.

    Two signs of Chinese count as one word, and so does a span of code.
    """
    plain = _MARK.sub(" ", _ADDRESS.sub(" ", _LINK.sub(r" \1 ", text)))
    plain = _OF_PAGES.sub(" ", plain if _asks_way(asked) else _ELSEWHERE.sub(" ", plain))
    code = sum(span not in asked.text for span in _CODE.findall(text))
    signs = {sign for sign in _CJK.findall(plain) if sign not in asked.text}
    own = {key(term) for term in terms(_CJK.sub(" ", plain)) if term not in STOPWORDS}
    return len(own - frozenset(asked.ordered) - _grammar(asked.language)) + (len(signs) + 1) // 2 + code


def _share(asked: Question, there: AbstractSet[str]) -> float:
    return sum(term in there for term in asked.ordered) / (len(asked.ordered) or 1)


def _grammar(language: str | None) -> frozenset[str]:
    return frozenset(key(term) for word in function_words(language) for term in terms(word))
