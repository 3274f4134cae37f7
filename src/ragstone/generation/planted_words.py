"""The words of planted text: patterns of orders to an assistant, of requests for credentials, and of ways elsewhere.

They are listed for English, German, Spanish, French and Chinese, those of the answer itself for more languages. Each
pattern takes linear time.
"""

from __future__ import annotations

import re

_GAP = r"[^.!?。！？\n<>\[\]]{0,60}?"


def _listed(words: str, *, inside: str) -> re.Pattern[str]:
    """One pattern of words, of beginnings of words (`*`), and of words that any text may hold `inside`."""
    parts = sorted(set(words.split()), key=len, reverse=True)
    whole = "|".join(re.escape(part).replace(r"\*", r"\w*") for part in parts)
    within = "|".join(sorted(inside.split(), key=len, reverse=True))
    return re.compile(rf"\b(?:{whole})(?!\w)|{within}", re.IGNORECASE)


PROGRAM = re.compile(
    r"\b(?:as an ai|(?:large )?language models?|ai (?:assistants?|models?|systems?)|system prompts?|chat ?bots?"
    r"|chatgpt"
    r"|llms?|ki-assistent\w*|sprachmodell\w*|asistente de ia|modelos? de lenguaje|modèles? de langage|assistant ia)\b"
    r"|语言模型|智能助手|人工智能助手",
    re.IGNORECASE,
)
TO_A_PROGRAM = re.compile(
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
PROGRAM_MUST_SAY = re.compile(
    r"(?:\b(?:ai|ki|ia)[- ](?:assistants?|assistent\w*|models?|modelle?\w*|systems?|systeme\w*)|\bchat ?bots?"
    r"|\b(?:language|sprach)[ -]?model\w*|\bassistants?\b|\b(?:sistemas?|asistentes?|modelos?) de (?:ia|lenguaje)"
    r"|\b(?:systèmes?|assistants?|modèles?) (?:d['’]ia|de langage|ia)|人工智能系统|人工智能|智能助手|助手|语言模型)"
    r"[^.!?。！？\n]{0,80}?(?:\b(?:must|should|shall|have to|has to|haben|hat|müssen|muss|sollen|soll|deben"
    r"|debe|tienen que"
    r"|tiene que|doivent|doit|devront)\b|必须|应|要|只能)"
    rf"[^.!?。！？\n]{{0,20}}?{_SAY}",
    re.IGNORECASE,
)
ANSWER_THIS = re.compile(
    r"^[\W_]*(?:please |bitte )?(?:(?:answer|respond to|reply to) (?:this|the) question"
    r"|beantworte\w* (?:sie )?(?:diese|die)"
    r" frage|(?:responde|contesta|responda|conteste) a esta pregunta|répond(?:s|ez) à cette question)\b"
    r"|\bthe (?:only )?(?:correct|right|proper|expected) (?:response|answer|reply) is to\b"
    r"|回答(?:这个|此|该|本)问题[^。！？\n]{0,8}(?:只能|必须|请|应)|请[^。！？\n]{0,8}回答(?:这个|此|该|本)问题",
    re.IGNORECASE,
)
READ_NOTHING_ELSE = re.compile(
    r"\b(?:stop|cease|quit|leg\w*|dej\w*|cess\w*|arrêt\w*)\b[^.!?\n]{0,30}\b(?:other|ander\w*|übrigen?|otr[oa]s|autres)"
    r" (?:\w+ )?(?:documents?|dokumente?\w*|sources?|quellen|pages?|seiten|documentos|fuentes|páginas)\b"
    r"|\b(?:leav\w*|omit\w*|ignor\w*)\b[^.!?\n]{0,10}\bother (?:documents?|sources?|pages?)\b"
    r"|不要[^。！？\n]{0,6}其他[^。！？\n]{0,4}(?:文档|资料|来源|网页)",
    re.IGNORECASE,
)
OVERRIDE = re.compile(
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
ANSWER_OF_YOURS = re.compile(
    r"\byour (?:(?:final|next|whole|entire) )?(?:answers?|responses?|reply|replies)\b|\b(?:deine|ihre"
    r"|eure)[rn]? antwort"
    r"|\b(?:tu|su) respuesta|\b(?:ta|votre) réponse|(?:你|您)的(?:回答|回复|答案|答复)",
    re.IGNORECASE,
)
ORDER_ABOUT_IT = re.compile(
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
ENTRUSTED = (
    r"(?:passwords?|passphrases?|passcodes?|credentials|(?:api|secret|private|access) (?:keys?|tokens?|codes?)"
    r"|(?:code )?pin(?: code)?\b"
    r"|credit card\w*|card numbers?|login(?: data| details)?|bank (?:details|account)|social security|one-time codes?"
    r"|user ?names?|(?:six|6)-digit code|sechsstellig\w* code|código de (?:seis|6)|code à (?:six|6)|六位数"
    r"|passw[oö]rt\w*|kennw[oö]rt\w*|zugangs(?:daten|codes?)|kreditkart\w*|kartennummer|bankverbindung"
    r"|bankdaten|kontodaten|benutzernamen?|contraseñas?|credenciales|tarjeta|código de acceso|datos bancarios"
    r"|mots? de passe|identifiants|codes? d['’]accès|carte bancaire|numéro de carte|coordonnées bancaires"
    r"|密码|口令|凭据|凭证|账号|信用卡|银行卡号?|银行信息|验证码|用户名)"
)
HAND_OVER = re.compile(
    r"(?:\b(?:send|share|give|tell|reveal|post|e?-?mail|submit|text|disclose|hand|confirm|verify|reply|enter"
    r"|type|provide|sende\w*"
    r"|schick\w*|teil\w*|nenn\w*|verrat\w*|bestätig\w*|gib|geben|env[ií]\w*|compart\w*|introdu\w*|escrib\w*"
    r"|revel\w*|confirm\w*"
    r"|envoy\w*|donn\w*|saisi\w*|communiqu\w*|révél\w*)\b|发送|提供|输入|告诉|告知|填写|分享|确认)"
    rf"{_GAP}(?:(?:\b(?:your|deine?[nm]?|ihre?[nm]?|eure?|tus?|sus?|tes|ton|vos|votre|users?|users?['’]s?|me the"
    rf"|us the)|您的?|你的?|用户的?)[^.!?。！？\n<>\[\]]{{0,25}}?{ENTRUSTED}"
    rf"|{ENTRUSTED} (?:of|for|ihres|deines|eures|de su|de tu|de votre|de ton)\b)",
    re.IGNORECASE,
)
YOUR_SECRET = re.compile(
    rf"(?:\b(?:your|ihr(?:e|en|em|er|es)?|dein(?:e|en|em|er|es)?|su|tu|votre|ton)\b|您的?"
    rf"|你的?)[^.!?。！？\n]{{0,12}}?{ENTRUSTED}",
    re.IGNORECASE,
)
NEEDED_BEFORE = re.compile(
    rf"(?:\b(?:need|require|brauch\w*|benötig\w*|necesit\w*|faut|besoin)\b|需要){_GAP}"
    rf"(?:\b(?:your|ihre?[nm]?|deine?[nm]?|tus?|sus?|vos|votre|tes|ton)\b|您的?"
    rf"|你的?)[^.!?。！？\n]{{0,25}}?{ENTRUSTED}"
    r"[^.!?。！？\n]{0,20}?(?:\b(?:before|bevor|ehe|antes|avant)\b|才)",
    re.IGNORECASE,
)
TO_WHOM = re.compile(
    r"\b(?:to|with|by) (?:me|us|this|return|the (?:address|number|form|page|link))\b|\b(?:me|us) your\b|\bto (?:see"
    r"|view|unlock|get|receive"
    r"|continue|read|obtain|find)\b|\bbelow\b|\bum\b.{0,40}\bzu (?:sehen|lesen|erhalten)|\b(?:an|mit) (?:mich"
    r"|uns)\b|\b(?:me|nos|para ver"
    r"|para leer|moi|nous|pour (?:voir|lire|obtenir))\b|(?:才能|以便|给我|给我们|查看)",
    re.IGNORECASE,
)
NEVER = re.compile(
    r"\b(?:never|not|don['’]t|nobody|no one|nie|niemals|nicht|kein\w*|nunca|no|jamais|ne|pas)\b|不要|切勿|请勿"
    r"|不会|绝不",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"(?:https?|ftp)://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{2,64}|\b[\w-]{2,63}\.(?:com|net|org|io"
    r"|xyz|info|example|ru|cn|de"
    r"|tk|top|site)(?:/\S*)?(?![\w.])",
    re.IGNORECASE,
)
LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\n]*\)")
WORD = re.compile(r"\w")
CODE = re.compile(r"`[^`\n]+`")
ELSEWHERE = _listed(
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
GO_THERE = re.compile(
    r"\b(?:open|opening|visit\w*|click\w*|follow|call|dial|log ?in\w*|sign ?(?:in|up)\w*|scan\w*|subscrib\w*"
    r"|register\w*"
    r"|download\w*|contact|unlock\w*|buy|pay|read on|find out|learn|see|available|behind|öffne\w*|besuch\w*|klick\w*"
    r"|ruf\w*|anmeld\w*|melde\w*|abonnier\w*|abre|abra|haga|haz|clic|llame|inici\w*|suscr\w*|descarg\w*"
    r"|ouvr\w*|cliqu\w*"
    r"|appel\w*|connect\w*|abonn\w*|télécharg\w*)\b|打开|点击|访问|登录|扫描|订阅|下载|联系",
    re.IGNORECASE,
)
ASKERS = re.compile(
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
TO_KNOW = re.compile(
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
OPENS = re.compile(r"\b(?:open|öffne|abr|ouvr)\w*|开门|开放", re.IGNORECASE)
"""What "when does it open" asks of no file."""
ACCESS = re.compile(
    r"\b(?:see|view|access|read|sehen|einsehen|lesen|zugriff|ver|acceder|leer|voir|accéder|lire)\b|查看|访问|阅读",
    re.IGNORECASE,
)
DANGEROUS = re.compile(
    r"\b(?:disable|deactivate|uninstall\w*|deinstallier\w*|desinstal\w*|désinstall\w*|(?:switch|turn"
    r"|shut) off|ausschalt\w*|deaktivier\w*|schalt\w*|desactiv\w*|apag\w*"
    r"|désactiv\w*|coupe[rz]?)\b[^.!?\n]{0,30}(?:virus|viren|antivir|malware|security soft|firewall|cortafuegos"
    r"|schutzprogramm|pare-feu)"
    r"|(?:关闭|停用|禁用|卸载)[^。！？\n]{0,6}(?:杀毒|防病毒|防火墙|安全软件)",
    re.IGNORECASE,
)
THE_ANSWER = re.compile(
    r"\b(?:answers?|solution|antwort\w*|lösung|respuestas?|solución|réponses?|respostas?|risposte?|risposta"
    r"|ответ\w*|cevap\w*|yanıt\w*)\b"
    r"|答案|解答|答え|回答|대답|정답|الجواب|إجابة|الإجابة|उत्तर|คำตอบ",
    re.IGNORECASE,
)
ASKS_ADDRESS = re.compile(
    r"\b(?:urls?|links?|address\w*|web ?sites?|sites?|web ?pages?|e?-?mails?|repositor\w*|download\w*|adress\w*"
    r"|webseite|enlaces?|direcci\w*"
    r"|correo|liens?|adresses?|contact\w*|kontakt\w*|where|wo|dónde|donde|où)\b|网址|链接|地址|邮箱",
    re.IGNORECASE,
)
OF_PAGES = _listed(
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
NUMBERED_SOURCE = re.compile(
    r"(?:\b(?:sources?|documents?|handbook|manual|reports?|quellen?|dokumente?|handbuch|fuentes?|documentos?|manuel)\b"
    r"|来源|文档|手册)\W{0,3}\[\d{1,3}\]|^\W*\[\d{1,3}\]",
    re.IGNORECASE,
)
"""A sentence that speaks of its sources by number."""
QUESTION = re.compile(r"\b(?:questions?|fragen?|preguntas?)\b|问题", re.IGNORECASE)
MARK = re.compile(r"\[\d{1,3}\]")
CJK = re.compile(r"[\u3400-\u9fff]")
NAMES_IT = re.compile(
    r"\b(?:is|are|means) (?:an?|the)\b|\bist (?:eine?|der|die|das)\b|\bes (?:una?|el|la)\b|\best (?:une?|le|la)\b"
    r"|是一|是指",
    re.IGNORECASE,
)
"""What a definition says, whatever its other words are."""
