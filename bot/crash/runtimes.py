"""How programs die, as data: in the words of their runtimes, of the kernel and of systemd.

A way to die is a row: the hints that find it, the clues that say what each line of its block
means, and the frames that are not the program's own. ``bot.crash.blocks`` reads the lines by it.
The formats follow the messages of the kernels and runtimes themselves; adding one is adding a row
and a golden file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from bot.crash import names
from bot.crash.report import Kind


class Role(Enum):
    """What a line of a block says."""

    OPEN = "a block begins here, or goes on after a link"
    HEAD = "what happened"
    FRAME = "a function of the stack"
    PLACE = "file and line of the frame above"
    FACT = "a detail"
    TRACE = "the stack begins; a second one is aside"
    ASIDE = "frames that follow are not those of the crash"
    CAUSE = "what follows caused what stands above"
    AFTER = "what follows happened after what stands above"
    MEMBER = "what follows is a part of what stands above"
    NOISE = "belongs to the block and says nothing"
    END = "the last line of the block"


class Again(Enum):
    """What a second HEAD means while no frame was read yet."""

    ENDS = "another crash begins"
    ADDS = "the same crash in other words"
    SAID = "the message goes on"


class Clue(NamedTuple):
    """A line that fits ``pattern`` (from its start) has ``role``.

    Named groups become details, but for those that name a place. ``title`` is the title of a HEAD,
    where it differs from the row's. ``weak`` clues count only below frames; a HEAD that is
    ``cut`` has its message on the next line.
    """

    role: Role
    pattern: re.Pattern[str]
    title: str | None = None
    weak: bool = False
    cut: bool = False


class Rule(NamedTuple):
    """Frames whose ``part`` (``function``, ``file`` or ``module``) fits ``pattern`` are passed over.

    The first frame of a ``library`` is taken where no frame is the program's own.
    """

    name: str
    part: str
    pattern: re.Pattern[str]
    library: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One way in which programs die.

    ``hints`` are expressions that ``re`` and RE2 both know. Of a title what follows `` in {where}``
    is dropped where nobody is known. ``above`` says how many lines may stand between what was
    found and its HEAD, ``over`` which lines belong in front of the HEAD. ``gap`` and ``gap_below``
    are the lines in a row that may say nothing, before and behind the first frame. ``upward`` is
    true where the last frame is the innermost one, ``latest`` where the last cause is the first
    in time. Frames down to the last one that fits ``raised`` are the runtime's way of dying.
    ``margin`` is what may stand in front of lines. ``starts`` is where the runtime's own words start
    on the line of the hint: what stands before is a prefix of every line. ``headed`` is false where a stack alone tells of a crash,
    ``framed`` is true where a HEAD alone does not; ``traced`` is false where no stack need be
    printed. ``explain`` adds details to those that were told.
    """

    kind: Kind
    hints: tuple[str, ...]
    clues: tuple[Clue, ...]
    naming: names.Naming = names.NATIVE
    title: str = "{type} in {where}"
    where: str = "{function}"
    alts: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    raised: re.Pattern[str] | None = None
    above: int = 0
    over: re.Pattern[str] | None = None
    gap: int = 0
    gap_below: int = 0
    upward: bool = False
    latest: bool = False
    again: Again = Again.ENDS
    margin: re.Pattern[str] | None = None
    starts: re.Pattern[str] | None = None
    headed: bool = True
    framed: bool = False
    traced: bool = True
    explain: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None


def clue(
    role: Role, pattern: str, title: str | None = None, *, weak: bool = False, cut: bool = False
) -> Clue:
    """Make a clue out of an expression."""
    return Clue(role, re.compile(pattern), title, weak, cut)


def rule(name: str, part: str, pattern: str, *, library: bool = False) -> Rule:
    """Make a rule out of an expression."""
    return Rule(name, part, re.compile(pattern), library)


_DOTTED = r"(?:[A-Za-z_]\w{0,80}\.){0,10}"
_PY_FILE = r"\s*File \"(?P<file>[^\"]{1,400})\", line (?P<line>\d{1,9})"
_PY_RULES = (
    rule(
        "standard library",
        "file",
        r".{0,400}[/\\][Ll]ib(?:64)?[/\\]python\d[^/\\]{0,8}[/\\](?!(?:site|dist)-packages)",
        library=True,
    ),
    rule("installed package", "file", r".{0,400}[/\\](?:site|dist)-packages[/\\]", library=True),
    rule("part of the interpreter", "file", r"<frozen "),
)
_PY_PASS = (
    clue(Role.NOISE, r"\s*[~^]{1,400}\s*$"),
    clue(Role.NOISE, r"\s*\[Previous line repeated \d{1,9} more times?\]"),
    clue(Role.NOISE, r"\s*\+[+-]{8,80}\s*$"),
)

PYTHON = Runtime(
    kind=Kind.PYTHON,
    hints=(r"Traceback \(most recent call last\):",),
    starts=re.compile(r"(?:Exception Group )?Traceback \("),
    clues=(
        clue(
            Role.OPEN, r"\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):\s*$"
        ),
        clue(
            Role.AFTER,
            r"\s*(?:During handling of the above exception, another exception occurred"
            r"|The above exception was the direct cause of the following exception):\s*$",
        ),
        clue(Role.MEMBER, r"\s*\+[+-]{4,80} \d{1,6} -{4,80}\s*$"),
        clue(Role.FRAME, _PY_FILE + r"(?:, in (?P<function>.{1,200}))?\s*$"),
        *_PY_PASS,
        clue(
            Role.HEAD,
            rf"(?P<type>{_DOTTED}\w{{0,80}}(?:Error|Exception|Exit|Interrupt|Group"
            rf"|Iteration|Warning|Timeout))(?:: ?(?P<message>.{{0,1000}})|\s*$)",
        ),
        clue(
            Role.HEAD,
            rf"(?P<type>{_DOTTED}[A-Z]\w{{0,80}})(?:: (?P<message>.{{0,1000}})|\s*$)",
            weak=True,
        ),
    ),
    naming=names.PYTHON,
    where="{module}.{function}",
    rules=_PY_RULES,
    gap=12,
    gap_below=6,
    upward=True,
    margin=re.compile(r"(?:[ \t]{0,60}\|){1,4} ?"),
    headed=False,
)

PYTHON_SYNTAX = Runtime(
    kind=Kind.PYTHON,
    hints=(r"(?:SyntaxError|IndentationError|TabError): ",),
    starts=re.compile(r"(?:Syntax|Indentation|Tab)Error: "),
    clues=(
        clue(Role.FRAME, _PY_FILE + r"\s*$"),
        *_PY_PASS[:1],
        clue(Role.HEAD, r"(?P<type>SyntaxError|IndentationError|TabError): (?P<message>.{0,1000})"),
    ),
    naming=names.PYTHON,
    where="{module}",
    rules=_PY_RULES,
    above=6,
    over=re.compile(_PY_FILE + r"\s*$"),
    gap_below=3,
    upward=True,
    framed=True,
)

PYTHON_FATAL = Runtime(
    kind=Kind.PYTHON,
    hints=(r"Fatal Python error: ",),
    starts=re.compile(r"Fatal Python error: "),
    clues=(
        clue(Role.HEAD, r"\s*Fatal Python error: (?P<type>.{1,200})"),
        clue(
            Role.TRACE,
            r"\s*Current thread 0x[0-9a-f]{1,16}(?: \[[^\]]{0,60}\])? \(most recent call first\):",
        ),
        clue(
            Role.ASIDE,
            r"\s*Thread 0x[0-9a-f]{1,16}(?: \[[^\]]{0,60}\])? \(most recent call first\):",
        ),
        clue(Role.FRAME, _PY_FILE + r" in (?P<function>.{1,200}?)\s*$"),
        clue(Role.NOISE, r"Python runtime state: "),
        clue(Role.NOISE, r"\s{0,8}<no Python frame>|\s{0,8}\.\.\.\s*$"),
        clue(Role.END, r"Extension modules: "),
    ),
    naming=names.PYTHON,
    title="Fatal Python error: {type} in {where}",
    where="{module}.{function}",
    rules=_PY_RULES,
    gap=3,
)

_JAVA_TYPE = r"(?P<type>(?:[a-z_][\w$]{0,80}\.){1,14}[A-Z][\w$]{0,120})"
_JAVA_SAYS = r"(?:: ?(?P<message>.{0,1000})|\s*$)"
_JAVA_FRAME = (
    r"\s*at (?:[\w.@-]{0,80}/){0,3}(?P<function>[\w.$<>/-]{3,200})"
    r"\((?P<file>[^():]{1,100})(?::(?P<line>-?\d{1,7}))?\)"
)
JAVA = Runtime(
    kind=Kind.JAVA,
    hints=(
        r"Exception in thread \"",
        r"\.(?:java|kt|scala|groovy|clj):\d+\)",
        r"\((?:Native Method|Unknown Source)\)",
        r"Terminating due to java\.lang\.OutOfMemoryError",
    ),
    starts=re.compile(r"Exception in thread |Terminating due to |\bat [\w.$@/<>-]{1,200}\("),
    clues=(
        clue(Role.FRAME, _JAVA_FRAME),
        clue(Role.END, r"\s*java\.lang\.Thread\.State: "),
        clue(Role.NOISE, r"\s*\.\.\. \d{1,6} (?:more|common frames omitted)"),
        clue(Role.CAUSE, rf"(?:Caused by|Wrapped by): {_JAVA_TYPE}{_JAVA_SAYS}"),
        clue(Role.ASIDE, rf"\s*(?:Suppressed|Caused by): {_JAVA_TYPE}"),
        clue(Role.NOISE, r"\s*\[CIRCULAR REFERENCE: ?"),
        clue(
            Role.HEAD,
            rf"Exception in thread \"(?P<thread>[^\"]{{0,200}})\" (?P<type>"
            rf"(?:[\w$]{{1,80}}\.){{0,14}}[\w$]{{1,120}}){_JAVA_SAYS}",
        ),
        clue(Role.HEAD, rf"(?:\[[^\]]{{1,40}}\] )?{_JAVA_TYPE}{_JAVA_SAYS}"),
        clue(Role.HEAD, rf"(?P<type>[A-Z][\w$]{{0,120}}(?:Exception|Error)){_JAVA_SAYS}"),
        clue(
            Role.HEAD,
            r"Terminating due to (?P<type>java\.lang\.OutOfMemoryError): (?P<message>.{0,200})",
        ),
        clue(
            Role.HEAD,
            rf".{{1,1000}}?\b(?<![\w.$])(?P<type>(?:[a-z_][\w$]{{0,80}}\.){{1,14}}[A-Z]"
            rf"[\w$]{{0,100}}(?:Exception|Error|Throwable)){_JAVA_SAYS}",
        ),
    ),
    naming=names.JAVA,
    rules=(
        rule("Java platform", "function", r"(?:java|javax|jakarta|jdk|sun|com\.sun|com\.oracle)\."),
        rule(
            "language runtime",
            "function",
            r"(?:kotlin|kotlinx|scala|groovy|clojure|org\.codehaus\.groovy|akka"
            r"|org\.apache\.pekko|zio|cats)\.",
        ),
        rule(
            "framework",
            "function",
            r"(?:org\.(?:springframework|hibernate|jboss|wildfly|eclipse\.jetty|junit"
            r"|testng|mockito|slf4j|postgresql|mariadb|jooq|glassfish|aspectj|quartz"
            r"|mybatis)|org\.apache\.(?:catalina|coyote|tomcat|jasper|commons|http|hc"
            r"|logging|felix|maven|ibatis|struts2|cxf|camel)|io\.(?:netty|undertow|vertx"
            r"|micronaut|quarkus|grpc|projectreactor|reactivex|lettuce|micrometer)|reactor"
            r"|com\.(?:fasterxml|zaxxer|google\.common|google\.gson|google\.inject|mysql"
            r"|rabbitmq|netflix|squareup|microsoft\.sqlserver)|ch\.qos|okhttp3|retrofit2"
            r"|redis\.clients|feign|rx|net\.bytebuddy|net\.sf\.cglib|oracle)\.",
            library=True,
        ),
        rule(
            "generated code",
            "function",
            r".{0,200}(?:\$\$FastClassBy|\$Proxy|GeneratedMethodAccessor|\$\$Lambda)",
        ),
    ),
    above=8,
    gap=12,
    again=Again.SAID,
    latest=True,
)

JAVA_FATAL = Runtime(
    kind=Kind.JAVA,
    hints=(
        r"A fatal error has been detected by the Java Runtime Environment",
        r"There is insufficient memory for the Java Runtime Environment to continue",
    ),
    clues=(
        clue(Role.OPEN, r"#\s*A fatal error has been detected by the Java"),
        clue(
            Role.HEAD,
            r"#\s{0,4}(?P<type>SIG[A-Z]{2,8}|EXCEPTION_[A-Z_]{1,40}) \("
            r"(?P<code>0x[0-9a-f]{1,8})\) at pc=0x[0-9a-f]{1,16}, pid=(?P<pid>\d{1,10})",
            "java runtime: {type} in {where}",
        ),
        clue(
            Role.HEAD,
            r"#\s{0,4}(?P<type>Internal Error|Out of Memory Error) \("
            r"(?P<file>[\w./-]{1,100}):(?P<line>\d{1,6})\), pid=(?P<pid>\d{1,10})",
            "java runtime: {type} in {where}",
        ),
        clue(
            Role.HEAD,
            r"#\s{0,4}(?P<type>There is insufficient memory for the Java Runtime"
            r" Environment) to continue",
            "java runtime: insufficient memory",
        ),
        clue(Role.FACT, r"#\s{0,4}(?:guarantee|assert|fatal error|Error:)(?P<message>.{1,300})"),
        clue(Role.FACT, r"#\s{0,4}JRE version: (?P<runtime>.{1,200})"),
        clue(
            Role.FRAME,
            r"#\s{0,4}[CVvA]\s{1,4}\[(?P<object>[^\]+]{1,200})\+0x[0-9a-f]{1,16}\]"
            r"(?:\s{1,4}(?P<function>\S.{0,300}))?",
        ),
        clue(
            Role.FRAME,
            r"#\s{0,4}[jJ]\s{1,4}(?:\d{1,8}%?\s{1,4}(?:c[12]\s{1,4})?)?"
            r"(?P<function>[\w.$/<>-]{1,200})\(",
        ),
        clue(Role.END, r"#\s{0,4}https?://\S{0,200}/crash"),
        clue(Role.NOISE, r"#"),
    ),
    rules=(
        rule(
            "Java virtual machine",
            "module",
            r"(?:libjvm|libjava|libc|libpthread|ld-linux)\b",
            library=True,
        ),
    ),
)

_GO_WORD = r"[\w.%~-]{1,120}"
_GOROUTINE = r"goroutine \d{1,9} (?:gp=0x[0-9a-f]{1,16} m=\S{1,20} (?:mp=0x[0-9a-f]{1,16} )?)?\["
_GO_STD = (
    r"runtime|panic|testing|net|os|io|fmt|sync|syscall|time|reflect|errors|bytes|strings"
    r"|strconv|sort"
    r"|context|bufio|encoding|crypto|compress|archive|database|html|text|log|math|regexp"
    r"|path|unicode"
    r"|hash|mime|internal|container|debug|go|image|index|iter|maps|slices|expvar|flag|plugin|unsafe"
    r"|embed|unique|cmp|vendor"
)
GO = Runtime(
    kind=Kind.GO,
    hints=(
        r"goroutine \d+ (?:gp=0x[0-9a-f]+ m=[^\[\n]{1,64})?\[[a-z]",
        r"panic: runtime error: ",
        r"fatal error: (?:all goroutines are asleep|concurrent map|runtime: |stack overflow"
        r"|sync: |unexpected signal during runtime|thread exhaustion|out of memory)",
        r"\[signal SIG[A-Z]+: ",
    ),
    starts=re.compile(r"goroutine \d|panic: |fatal error: |\[signal "),
    clues=(
        clue(
            Role.HEAD,
            r"\s*(?:[\w.-]{1,40}: )?panic: (?P<message>.{0,1000}?)(?: \[recovered"
            r"(?:, repanicked)?\])?\s*$",
            "panic: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,200}\b)?http: panic serving \S{1,100}: (?P<message>.{0,1000})",
            "panic: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,200}\b)?Observed a panic: (?P<message>.{0,1000})",
            "panic: {message} in {where}",
        ),
        clue(
            Role.HEAD, r"fatal error: (?P<message>.{0,1000})", "fatal error: {message} in {where}"
        ),
        clue(
            Role.HEAD,
            r"fatal: (?P<message>morestack on g0|systemstack called from unexpected goroutine)",
            "fatal error: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?P<message>SIG[A-Z]{2,6}: [a-z][a-z /-]{1,60})\s*$",
            "{message} in {where}",
        ),
        clue(
            Role.FACT,
            r"\[signal (?P<signal>SIG[A-Z]{2,6})(?:: (?P<fault>[^\]]{0,60}?))?"
            r"(?: code=\S{1,20})?(?: addr=(?P<address>0x[0-9a-f]{1,16}))?"
            r"(?: pc=0x[0-9a-f]{1,16})?\]",
        ),
        clue(Role.FACT, r"unexpected fault address (?P<address>0x[0-9a-f]{1,16})"),
        clue(Role.FACT, r"runtime: (?P<note>.{1,300})"),
        clue(
            Role.ASIDE,
            r"runtime stack:|goroutine \d{1,9} gp=0x[0-9a-f]{1,16} m=0 mp=0x[0-9a-f]{1,16}"
            r" \[idle|goroutine 0 \[",
        ),
        clue(Role.TRACE, _GOROUTINE),
        clue(
            Role.PLACE,
            r"\s*(?P<file>[^\s:][^:]{0,300}\.(?:go|s|c|h|y|cgo2\.c)):(?P<line>\d{1,7})"
            r"(?: \+0x[0-9a-f]{1,16})?(?: fp=.{0,100})?\s*$",
        ),
        clue(Role.NOISE, r"\s*created by "),
        clue(
            Role.NOISE,
            r"\s*\.\.\.(?:additional|\d{1,9}) frames? elided\.\.\.|PC=0x"
            r"|signal arrived during|goroutine running on other thread"
            r"|\[originating from goroutine|\s*>?\s*$",
        ),
        clue(
            Role.FRAME,
            rf"\s*(?P<function>(?:[\w.%~-]{{1,80}}/){{0,12}}(?:panic|{_GO_WORD}\."
            rf"(?:\(\*?[^()]{{1,120}}\))?[\w.\[\]-]{{0,160}}))\([^()]{{0,600}}\)"
            rf"(?: fp=.{{0,100}})?\s*$",
        ),
        clue(
            Role.NOISE,
            r"r(?:ax|bx|cx|dx|di|si|bp|sp|8|9|1[0-5]|ip|flags|\d{1,2}|lr|sp"
            r"|pc)\s{1,8}0x[0-9a-f]{1,16}|[cfg]s\s{1,8}0x|(?:lr|sp|pc|fault)\s{1,8}0x",
        ),
        clue(Role.END, r"exit status \d{1,3}\s*$"),
    ),
    naming=names.GO,
    title="go panic in {where}",
    alts=("go runtime error",),
    rules=(
        rule(
            "Go runtime and standard library",
            "function",
            rf"(?:{_GO_STD})(?:/[\w.%~/-]{{1,200}})?\.|panic$",
        ),
        rule("C code", "function", r"_cgo|crosscall|x_cgo"),
        rule("imported module", "file", r".{0,300}/(?:pkg/mod|vendor)/", library=True),
        rule(
            "imported module",
            "function",
            r"(?:golang\.org/x|google\.golang\.org|go\.uber\.org|k8s\.io/(?:apimachinery"
            r"|client-go)|sigs\.k8s\.io/controller-runtime)/",
            library=True,
        ),
    ),
    raised=re.compile(
        r"panic$|runtime\.(?:gopanic|panic\w{1,40}|goPanic\w{1,40}|sigpanic|throw"
        r"|fatalthrow|fatal)$|internal/runtime/maps\.fatal$"
    ),
    above=24,
    over=re.compile(
        r"(?:\w{1,40}: )?panic: |fatal error: |unexpected fault address |runtime: "
        r"|\[signal SIG|SIG[A-Z]{2,6}: "
    ),
    gap=12,
    again=Again.ADDS,
    headed=False,
)

RUST = Runtime(
    kind=Kind.RUST,
    hints=(
        r"' (?:\(\d+\) )?panicked at ",
        r"' (?:\(\d+\) )?has overflowed its stack",
        r"memory allocation of \d+ bytes failed",
    ),
    starts=re.compile(r"thread '|memory allocation of "),
    clues=(
        clue(
            Role.HEAD,
            r"(?:.{0,40}\s)?thread '(?P<thread>[^']{0,100})' "
            r"(?:\(\d{1,10}\) )?panicked at '(?P<message>.{0,1000})'[,:] "
            r"(?P<file>[^\s:][^:]{0,300}):(?P<line>\d{1,7})(?::\d{1,7})?\s*$",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,40}\s)?thread '(?P<thread>[^']{0,100})' "
            r"(?:\(\d{1,10}\) )?panicked at '(?P<message>.{0,1000})\s*$",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,40}\s)?thread '(?P<thread>[^']{0,100})' (?:\(\d{1,10}\) )?panicked at "
            r"(?P<file>[^\s:'][^:]{0,300}):(?P<line>\d{1,7}):\d{1,7}:?\s*$",
            cut=True,
        ),
        clue(
            Role.HEAD,
            r"\s*thread '(?P<thread>[^']{0,100})' (?:\(\d{1,10}\) )?has overflowed its "
            r"(?P<message>stack)",
            "panic: stack overflow",
        ),
        clue(Role.HEAD, r"\s*(?P<message>memory allocation of \d{1,20} bytes failed)"),
        clue(Role.FACT, r".{0,300}', (?P<file>[^\s:][^:]{0,300}):(?P<line>\d{1,7}):\d{1,7}\s*$"),
        clue(Role.TRACE, r"\s*stack backtrace:\s*$"),
        clue(
            Role.FRAME,
            r"\s*\d{1,4}: {1,20}(?:0x[0-9a-f]{1,16} - )?(?P<function>[A-Za-z_<$]\S.{0,400}?"
            r"|[a-z_]\w{0,100})\s*$",
        ),
        clue(Role.PLACE, r"\s*at (?P<file>[^\s:][^:]{0,300}):(?P<line>\d{1,7})(?::\d{1,7})?\s*$"),
        clue(Role.NOISE, r"note: (?:run with|Some details)|fatal runtime error: "),
        clue(Role.NOISE, r"thread caused non-unwinding panic"),
    ),
    naming=names.RUST,
    title="panic: {message} in {where}",
    rules=(
        rule(
            "Rust standard library",
            "function",
            r"(?:std|core|alloc|panic_unwind|backtrace|test|proc_macro|__rustc)::"
            r"|rust_begin_unwind|_?_?rust_|rust_panic",
        ),
        rule("Rust standard library", "file", r"/rustc/|.{0,200}/library/(?:std|core|alloc)/"),
        rule(
            "start of the program",
            "function",
            r"(?:main|_start|clone3?|start_thread|__libc_start\w{0,30}|__GI_\w{1,30}|<unknown>)$",
        ),
        rule(
            "crate of the registry",
            "file",
            r".{0,300}/(?:registry/src|git/checkouts)/",
            library=True,
        ),
        rule(
            "async runtime",
            "function",
            r"(?:tokio|futures\w{0,20}|async_std|rayon|hyper|tower\w{0,20}|tracing\w{0,20})::",
            library=True,
        ),
    ),
    raised=re.compile(
        r"core::panicking::|std::panicking::(?:begin|panic_fmt|panic_handler|rust_panic"
        r"|default_hook)"
        r"|(?:__rustc::)?rust_begin_unwind"
    ),
    gap=8,
    traced=False,
)

_JS_TYPE = r"(?P<type>[A-Za-z_$][\w$]{0,80}?(?:Error|Exception|Rejection|Failure|Warning)|Error)"
_JS_SAYS = r"(?: \[(?P<code>\w{1,60})\])?(?:: (?P<message>.{0,1000})|\]?\s*$)"
_JS_FRAMES = (
    clue(
        Role.FRAME,
        r"\s*at (?P<function>[^()]{1,200}?) \((?P<file>[^()]{1,400}?)(?::"
        r"(?P<line>\d{1,7}):\d{1,7})?\)",
    ),
    clue(
        Role.FRAME,
        r"\s*at (?:async )?(?P<file>[^()\s]{1,400}?):(?P<line>\d{1,7}):\d{1,7}"
        r"(?P<function>)(?: \{)?\s*$",
    ),
    clue(
        Role.NOISE, r"\s*at .{0,300}\(.{0,300}\)|\s*\.\.\. \d{1,4} lines matching cause stack trace"
    ),
)
NODE = Runtime(
    kind=Kind.NODE,
    hints=(
        r"\.(?:js|mjs|cjs|ts|mts|cts|jsx|tsx):\d+:\d+",
        r"node:[a-z_/]+:\d+:\d+",
        r"\[eval\]:\d+:\d+",
        r"UnhandledPromiseRejection(?:Warning)?: ",
    ),
    starts=re.compile(r"\bat |\(node:\d{1,10}\) |\[?UnhandledPromiseRejection"),
    clues=(
        *_JS_FRAMES,
        clue(
            Role.NOISE,
            r"\(node:\d{1,10}\) UnhandledPromiseRejectionWarning: Unhandled promise"
            r" rejection\. This",
        ),
        clue(Role.CAUSE, rf"\s*\[cause\]: (?:\[)?{_JS_TYPE}{_JS_SAYS}"),
        clue(
            Role.HEAD,
            rf"(?:Uncaught |\(node:\d{{1,10}}\) UnhandledPromiseRejectionWarning: "
            rf"|Unhandled [Rr]ejection[^:]{{0,40}}: |uncaughtException: "
            rf"|Uncaught Exception: |\[){{0,2}}{_JS_TYPE}{_JS_SAYS}",
        ),
        clue(
            Role.HEAD,
            r"(?:\(node:(?P<pid>\d{1,10})\) )(?P<type>UnhandledPromiseRejectionWarning): "
            r"(?P<message>.{0,1000})",
        ),
        clue(Role.HEAD, rf".{{1,400}}?(?<![\w.$]){_JS_TYPE}: (?P<message>.{{0,1000}})"),
        clue(Role.FACT, r"\s+(?:code|errno|syscall): .{0,200}"),
        clue(Role.END, r"Node\.js v(?P<runtime>[\d.]{1,20})"),
        clue(
            Role.NOISE,
            r"\s+(?:generatedMessage|actual|expected|operator|path|dest|address"
            r"|port): .{0,400}|\s*\}\s*$",
        ),
    ),
    naming=names.NODE,
    where="{function}",
    rules=(
        rule(
            "Node.js itself",
            "file",
            r"node:|internal/|<anonymous>|native$|index \d{1,6}$|[a-z_]{1,40}\.js$",
        ),
        rule("installed package", "file", r".{0,400}/node_modules/", library=True),
    ),
    above=8,
    over=re.compile(
        r"(?:file://)?[^\s:]{1,400}:\d{1,7}\s*$|\[eval\]:\d{1,7}\s*$|node:[\w/]{1,100}:\d{1,7}\s*$"
    ),
    gap=8,
    gap_below=2,
    again=Again.SAID,
    latest=True,
    traced=False,
)

NODE_FATAL = Runtime(
    kind=Kind.NODE,
    hints=(r"FATAL ERROR: ",),
    starts=re.compile(r"FATAL ERROR: "),
    clues=(
        clue(
            Role.HEAD,
            r"FATAL ERROR: (?P<message>(?:v8::|node::|Reached heap limit|Ineffective mark-compacts"
            r"|CALL_AND_RETRY|Committing semi space|Zone|NewSpace|Scavenger|MarkCompact"
            r"|invalid (?:array|table) (?:length|size)).{0,300})",
        ),
        clue(Role.TRACE, r"-{4,8} (?:Native|JavaScript) stack trace -{4,8}"),
        clue(Role.NOISE, r"\s*\d{1,3}: 0x[0-9a-f]{1,16} "),
        clue(Role.NOISE, r"\s*\d{1,3}: \S{1,200}"),
    ),
    naming=names.NODE,
    title="FATAL ERROR: {message}",
    gap=2,
    traced=False,
)

SIGNALS: Mapping[int, str] = {
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    31: "SIGSYS",
}
"""Signals that end a program, by the number that most architectures give them."""

TRAPS: Mapping[str, str] = {
    "segfault": "SIGSEGV",
    "general protection": "SIGSEGV",
    "general protection fault": "SIGSEGV",
    "control protection": "SIGSEGV",
    "stack segment": "SIGBUS",
    "bus error": "SIGBUS",
    "invalid opcode": "SIGILL",
    "undefined instruction": "SIGILL",
    "illegal instruction": "SIGILL",
    "divide error": "SIGFPE",
    "floating point exception": "SIGFPE",
    "int3": "SIGTRAP",
    "alignment check": "SIGBUS",
}
"""The signal that a trap becomes."""

_ACCESS = (
    (0x10, "instruction fetch"),
    (0x02, "write"),
    (0x00, "read"),
)
_REASONS = (
    (0x20, "protection key"),
    (0x08, "reserved bit set"),
    (0x01, "access not permitted"),
    (0x00, "page not present"),
)
_OFFSET = re.compile(r"([0-9a-f]{1,16}),([0-9a-f]{1,16})\+[0-9a-f]{1,16}")
_BASE = re.compile(r"([0-9a-f]{1,16})\+[0-9a-f]{1,16}")


def in_words(error: int) -> str:
    """Return the error code of an x86 page fault in words: ``user read, page not present``."""
    who = "user" if error & 0x04 else "kernel"
    access = next(word for bit, word in _ACCESS if error & bit == bit)
    return f"{who} {access}, {next(word for bit, word in _REASONS if error & bit == bit)}"


def explain_fault(told: Mapping[str, str]) -> dict[str, str]:
    """Add the signal's name, the error in words and the offset within the mapped object."""
    more: dict[str, str] = {}
    if told.get("number"):
        more["signal"] = SIGNALS.get(int(told["number"]), f"signal {told['number']}")
    elif told.get("what", "") in TRAPS:
        more["signal"] = TRAPS[told["what"]]
    if told.get("what") == "segfault" and "error" in told:
        more["error_words"] = in_words(int(told["error"], 16))
    offset = _offset(told.get("mapping", ""), told.get("ip", ""))
    if offset is not None:
        more["offset"] = offset
    return more


def _offset(mapping: str, pointer: str) -> str | None:
    """Return where in the object the pointer is; newer kernels print it themselves."""
    printed = _OFFSET.fullmatch(mapping)
    if printed is not None:
        return f"0x{int(printed[1], 16):x}"
    base = _BASE.fullmatch(mapping)
    if base is None or not pointer:
        return None
    offset = int(pointer, 16) - int(base[1], 16)
    return f"0x{offset:x}" if offset >= 0 else None


def explain_service(told: Mapping[str, str]) -> dict[str, str]:
    """Add what systemd calls the way in which the main process ended."""
    ways = {"dumped": "dumped core", "killed": "was killed"}
    return {"way": ways[told["code"]]} if told.get("code") in ways else {}


_WHO = r"(?:traps: )?(?P<comm>[^\[\]]{1,40})\[(?P<pid>\d{1,10})\]:? "
_HEX = r"(?:0x)?[0-9a-f]{1,16}"
_IN = r"(?:.{0,40}? in (?P<object>[^\[\]]{1,200})\[(?P<mapping>[0-9a-f,+]{1,60})\])?"
_FAULT = "{what} in {where}"

SEGFAULT = Runtime(
    kind=Kind.SEGFAULT,
    hints=(
        r"\]: segfault (?:at [0-9a-f]|\(\d)",
        r"\]:? (?:trap )?(?:general protection(?: fault)?|invalid opcode|divide error|int3"
        r"|stack segment|alignment check|control protection|bounds"
        r"|coprocessor segment overrun)(?: rip| ip):[0-9a-f]",
        r"\]: unhandled [a-z]",
        r"\]: (?:bus error|illegal instruction|floating point exception) \(\d",
        r"\]: undefined instruction: pc=",
        r": unhandled page fault \(\d",
        r"\] bad frame in [a-z]",
        r"User process fault: interruption code ",
        r"sending SIG(?:SEGV|BUS|ILL) to ",
        r"potentially unexpected fatal signal \d",
        r"\(core dumped\)",
    ),
    clues=(
        clue(
            Role.HEAD,
            rf"{_WHO}(?P<what>segfault) at (?P<address>{_HEX}) (?:rip|eip|ip) "
            rf"(?P<ip>{_HEX}) (?:\(rpc {_HEX}\) )?(?:rsp|esp|sp) (?P<sp>{_HEX}) error "
            rf"(?P<error>{_HEX}){_IN}(?:.{{0,20}} likely on CPU (?P<core>\d{{1,5}}))?",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}(?:trap )?(?P<what>general protection(?: fault)?|invalid opcode"
            rf"|divide error|int3|stack segment|alignment check|control protection|bounds"
            rf"|coprocessor segment overrun)(?: rip| ip):(?P<ip>{_HEX}) (?:rsp|sp):"
            rf"(?P<sp>{_HEX}) (?:ssp:{_HEX} )?error:(?P<error>{_HEX}){_IN}",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}(?P<what>segfault|bus error|illegal instruction"
            rf"|floating point exception|unhandled trap) \((?P<number>\d{{1,2}})\) at "
            rf"(?P<address>{_HEX}) nip (?P<ip>{_HEX}) lr {_HEX} code (?P<code>{_HEX}){_IN}",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}unhandled exception: (?:[^,]{{1,60}}, ESR 0x[0-9a-f]{{1,16}}, )?"
            rf"(?P<what>[a-z0-9][\w ()-]{{2,60}}?) in (?P<object>[^\[\]]{{1,200}})\["
            rf"(?P<mapping>[0-9a-f,+]{{1,60}})\]",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}unhandled exception: (?:[^,]{{1,60}}, ESR 0x[0-9a-f]{{1,16}}, )?"
            rf"(?P<what>[a-z0-9][\w ()-]{{2,60}})",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}unhandled (?P<what>[a-z0-9 ()-]{{3,60}}) \((?P<number>\d{{1,2}})\) at "
            rf"(?P<address>{_HEX}),? (?:esr|code) (?P<esr>{_HEX}),?{_IN}",
        ),
        clue(
            Role.HEAD,
            rf"{_WHO}(?P<what>unhandled signal) (?P<number>\d{{1,2}}) (?:code {_HEX} )?at "
            rf"(?P<address>{_HEX})(?: nip (?P<ip>{_HEX}) lr {_HEX} code {_HEX})?{_IN}",
            "{signal} in {where}",
        ),
        clue(Role.HEAD, rf"{_WHO}(?P<what>undefined instruction): pc=(?P<ip>{_HEX})"),
        clue(
            Role.HEAD,
            rf"{_WHO}(?P<what>bad frame) in [a-z_0-9]{{1,30}}(?: frame)?:? ?(?:{_HEX} )?ip:"
            rf"(?P<ip>{_HEX}) sp:(?P<sp>{_HEX}).{{0,40}}?{_IN}",
        ),
        clue(
            Role.HEAD,
            rf"(?P<comm>[^:]{{1,40}}): unhandled (?P<what>page fault) \("
            rf"(?P<number>\d{{1,2}})\) at (?P<address>{_HEX}), code (?P<code>{_HEX})",
        ),
        clue(
            Role.HEAD,
            rf"(?P<what>User process fault): interruption code (?P<code>{_HEX})(?: ilc:\d)?"
            rf"(?: in (?P<object>[^\[\]]{{1,200}})\[(?P<mapping>[0-9a-f,+]{{1,60}})\])?",
            "user process fault in {where}",
        ),
        clue(
            Role.HEAD,
            rf"(?:\w{{1,30}}\(\): )?sending (?P<signal>SIG[A-Z]{{3,4}}) to "
            rf"(?P<comm>.{{1,40}}?) for (?P<what>invalid (?:read|write) access) (?:from"
            rf"|to) ?(?P<address>{_HEX})?",
        ),
        clue(
            Role.HEAD,
            r"(?:(?P<path>[^\s:]{1,100}): )?(?:(?P<comm>[^/:]{1,40})(?:/"
            r"(?P<pid>\d{1,10}))?: )?potentially unexpected (?P<what>fatal signal) "
            r"(?P<number>\d{1,2})\.",
            "{signal} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,200}?(?P<pid>\d{1,10}) )?(?:.{0,60}\s)?(?P<what>Segmentation fault"
            r"|Bus error|Illegal instruction|Floating point exception"
            r"|Trace/breakpoint trap) {1,20}\(core dumped\)(?: {1,4}"
            r"(?P<object>[^\s|&;]{1,200}))?",
        ),
        clue(Role.FACT, r"Code: (?P<code_bytes>[0-9a-f<>() ]{2,400})"),
        clue(
            Role.FACT,
            r"(?:CPU: \d{1,5} )?(?:UID: \d{1,10} )?PID: (?P<pid>\d{1,10}) Comm: "
            r"(?P<comm>.{1,15}?) (?:Not tainted|Tainted|Kdump|\d)",
        ),
        clue(
            Role.FACT,
            rf"(?:epc|era)\s{{0,3}}= {_HEX} in (?P<object>[^\[\]]{{1,200}})\["
            rf"(?P<mapping>[0-9a-f,+]{{1,60}})\]",
        ),
        clue(Role.FACT, rf"[Ff]ailing address: (?P<address>{_HEX})"),
        clue(Role.NOISE, r"Code: Unable|Fault in |AS:[0-9a-f]{16}|ra\s{1,4}= |likely on CPU "),
    ),
    title=_FAULT,
    where="{module}",
    alts=("{what} in {comm}",),
    traced=False,
    explain=explain_fault,
)

_UNIT = r"(?P<unit>[\w@.:\\-]{1,200}\.(?:service|scope|socket|mount|slice|swap))"
_ENDED = r"(?P<process>Main|main|Control|control) process exited, code="
SERVICE = Runtime(
    kind=Kind.SERVICE,
    hints=(
        r"process exited, code=(?:dumped|killed), status=",
        r"ailed with result '(?:core-dump|signal|oom-kill|watchdog)'",
        r"Watchdog timeout \(limit ",
    ),
    clues=(
        clue(
            Role.HEAD,
            rf"{_UNIT}: {_ENDED}(?P<code>dumped), status=(?P<status>\d{{1,3}})/"
            rf"(?P<signal>[A-Z0-9+]{{2,10}})",
            "{module}: main process dumped core ({signal})",
        ),
        clue(
            Role.HEAD,
            rf"{_UNIT}: {_ENDED}(?P<code>killed), status=(?P<status>\d{{1,3}})/(?P<signal>"
            rf"(?!HUP|INT|TERM|PIPE)[A-Z0-9+]{{2,10}})",
            "{module}: main process was killed ({signal})",
        ),
        clue(
            Role.HEAD,
            rf"{_UNIT}: Watchdog timeout \(limit (?P<limit>[^)]{{1,20}})\)",
            "{module}: watchdog timeout",
        ),
        clue(
            Role.HEAD,
            rf"{_UNIT}: (?:Unit )?[Ff]ailed with result '(?P<result>core-dump|signal"
            rf"|oom-kill|watchdog)'",
            "{module}: failed with result {result}",
        ),
    ),
    naming=names.SYSTEMD,
    title="{module}: failed",
    where="",
    gap=8,
    again=Again.ADDS,
    traced=False,
    explain=explain_service,
)

_NATIVE_RULES = (
    rule(
        "how a program dies",
        "function",
        r"(?:_*(?:raise|abort|kill|tgkill|gsignal|assert_fail\w{0,10}|assert|stack_chk_fail"
        r"|fortify_fail\w{0,10}|chk_fail|pthread_kill\w{0,20}|libc_message\w{0,10}"
        r"|malloc_assert|cxa_throw|cxa_rethrow|cxa_pure_virtual|verbose_terminate_handler"
        r"|terminate|restore_rt|sigaction)|__GI_\w{1,40}|_?_?int_free|_int_malloc"
        r"|malloc_printerr|malloc_consolidate|std::terminate|std::__throw_\w{1,40}"
        r"|__gnu_cxx::__verbose_terminate_handler|__cxxabiv1::\w{1,40}|g_log\w{0,20}"
        r"|g_assertion_\w{1,30}|g_abort|qt_message_fatal|QMessageLogger::fatal|qFatal)(?:$"
        r"|[.@(])",
    ),
    rule(
        "interceptor of the sanitizer",
        "function",
        r"_*interceptor_|___interceptor|__(?:asan|lsan|tsan|msan|ubsan|hwasan|sanitizer)_|"
        r"(?:asan|lsan|msan|tsan)_|__sanitizer::",
    ),
    rule(
        "allocation",
        "function",
        r"(?:_*libc_)?(?:malloc|calloc|realloc|reallocarray|free|cfree|memalign"
        r"|posix_memalign|aligned_alloc|strdup|strndup)$|operator (?:new|delete)",
    ),
    rule(
        "copying of memory",
        "function",
        r"_*(?:mem(?:cpy|move|set|cmp|chr)|str(?:n?cpy|n?cat|n?cmp|len|chr|casecmp))(?:_chk"
        r"|_avx\w{0,40}|_sse\w{0,40}|_erms|_evex\w{0,40}|_unaligned\w{0,30})?$",
    ),
    rule(
        "start of the program",
        "function",
        r"(?:_start|__libc_start\w{0,30}|start_thread|clone3?|thread_start)$",
    ),
    rule(
        "C library",
        "module",
        r"(?:libc|libpthread|ld-[\w.-]{1,40}|ld|libm|librt|libdl|linux-vdso"
        r"|ld-musl[\w.-]{1,30})(?:\.so)?$",
        library=True,
    ),
    rule(
        "C++ library",
        "module",
        r"(?:libstdc\+\+|libc\+\+|libc\+\+abi|libgcc_s|libunwind)(?:\.so)?$",
        library=True,
    ),
    rule("library of the sanitizer", "module", r"lib[a-z]{2,8}san\.so$"),
    rule("C++ library", "file", r".{0,200}/include/c\+\+/", library=True),
    rule("C++ library", "function", r"(?:std|__gnu_cxx)::", library=True),
)
_AT = r"\s*#\d{1,3}\s{1,3}(?:0x[0-9a-f]{1,16}\s{1,3})?(?:in )?"
_MAPPED = (
    r"\((?P<object>[^()\s]{1,200}?) ?\+ ?0x[0-9a-f]{1,16}\)(?: \(BuildId: [0-9a-f]{1,64}\))?\s*$"
)
_NATIVE_FRAMES = (
    clue(
        Role.FRAME,
        rf"{_AT}(?P<function>\S.{{0,400}}) (?P<file>[^\s():]{{1,300}}):(?P<line>\d{{1,7}})"
        rf"(?::\d{{1,5}})?(?: \((?P<object>[^()\s]{{1,200}}) ?\+ ?0x[0-9a-f]{{1,16}}\))?"
        rf"(?: \(BuildId: [0-9a-f]{{1,64}}\))?\s*$",
    ),
    clue(Role.FRAME, rf"{_AT}(?:n/a |<null> |\?\? ){{0,2}}(?P<function>){_MAPPED}"),
    clue(Role.FRAME, rf"{_AT}(?P<function>\S.{{0,400}}?)(?: <null>)? {_MAPPED}"),
    clue(
        Role.FRAME,
        r"\s*#\d{1,3}\s{1,3}0x[0-9a-f]{1,16}\s{1,3}(?:in )?(?P<function>[^\s(][^(]{0,300}"
        r"(?:\([^()]{0,200}\))?)\s*$",
    ),
)

COREDUMP = Runtime(
    kind=Kind.COREDUMP,
    hints=(r"\) of user \d+ (?:dumped core|terminated abnormally without)",),
    clues=(
        clue(
            Role.HEAD,
            r"(?:.{0,60}\s)?Process (?P<pid>\d{1,10}) \((?P<comm>[^()]{1,64})\) of user "
            r"(?P<uid>\d{1,10}) (?:dumped core|terminated abnormally without)",
        ),
        clue(Role.TRACE, r"\s*Stack trace of thread (?P<thread>\d{1,10}):"),
        clue(Role.END, r"\s*ELF object binary architecture: (?P<arch>.{1,60})"),
        clue(
            Role.NOISE,
            r"\s*(?:Found module |Module |Metadata for module |Coredump diverted"
            r"|Core file was truncated)",
        ),
        *_NATIVE_FRAMES,
    ),
    title="{comm} dumped core in {where}",
    rules=_NATIVE_RULES,
    gap=3,
    traced=False,
)

_SANITIZER = r"(?:Address|HWAddress|Leak|Thread|Memory|UndefinedBehavior|Type|Realtime)Sanitizer"
USER_SANITIZER = Runtime(
    kind=Kind.USER_SANITIZER,
    hints=(
        r"== ?(?:ERROR|WARNING): (?:[A-Z][A-Za-z]+Sanitizer|libFuzzer)",
        r"WARNING: (?:Thread|Memory)Sanitizer: ",
        r"\d: runtime error: ",
    ),
    clues=(
        clue(
            Role.HEAD,
            rf"(?:.{{0,80}}?==(?P<pid>\d{{1,10}})== ?)?(?:ERROR|WARNING): "
            rf"(?P<tool>{_SANITIZER}|libFuzzer): (?P<what>[\w-]{{1,60}}"
            rf"(?: [\w-]{{1,30}}){{0,4}}?)(?= on | in thread| of size| which|:| \(|\s*$)"
            rf"(?P<message>.{{0,1000}})",
            "{tool}: {what} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?P<file>[^\s:]{1,300}):(?P<line>\d{1,7}):\d{1,5}: runtime error: "
            r"(?P<message>(?P<what>[^:]{1,120}).{0,800})",
            "UndefinedBehaviorSanitizer: {what} in {where}",
        ),
        *_NATIVE_FRAMES,
        clue(
            Role.TRACE,
            r"\s*(?:Direct leak of|Indirect leak of|(?:READ|WRITE|ACCESS|Write|Read"
            r"|Atomic write|Atomic read) of size|The signal is caused)",
        ),
        clue(
            Role.ASIDE,
            r"\s*(?:freed by|previously allocated by|allocated by|Previous (?:atomic )?"
            r"(?:write|read)|Location is |As if synchronized|Thread T\d|Mutex M\d"
            r"|Uninitialized value was|Memory was marked|Address 0x"
            r"|0x[0-9a-f]{4,16} is located)",
        ),
        clue(
            Role.NOISE,
            r"\s*=?=?\d{0,10}=?=?(?:Hint:|The signal is|AddressSanitizer can not|Using "
            r"|\s*$)|={10,80}",
        ),
        clue(Role.END, rf"SUMMARY: (?:{_SANITIZER}|libFuzzer)"),
    ),
    rules=_NATIVE_RULES,
    gap=3,
    gap_below=3,
)

_HEAP = (
    r"double free or corruption(?: \([a-z!]{1,20}\))?|double free detected in tcache 2"
    r"|free\(\): (?:invalid (?:pointer|size|next size)(?: \((?:fast|normal)\))?"
    r"|corrupted unsorted chunks"
    r"|double free detected in tcache 2|too many chunks detected in tcache"
    r"|unaligned chunk detected in tcache 2)"
    r"|malloc\(\): (?:corrupted (?:top size|unsorted chunks(?: [0-9])?)|memory corruption"
    r"(?: \(fast\))?"
    r"|invalid (?:size|next size) \(unsorted\)|mismatching next->prev_size \(unsorted\)"
    r"|unsorted double linked list corrupted|smallbin double linked list corrupted"
    r"|invalid next->prev_inuse \(unsorted\)|unaligned (?:tcache|fastbin) chunk detected(?: [0-9])?"
    r"|largebin double linked list corrupted(?: \([a-z]{1,8}\))?"
    r"|unaligned fastbin chunk detected(?: [0-9])?)"
    r"|malloc_consolidate\(\): (?:invalid chunk size|unaligned fastbin chunk detected)"
    r"|realloc\(\): (?:invalid (?:pointer|old size|next size)|unaligned chunk detected in tcache)"
    r"|munmap_chunk\(\): invalid pointer|mremap_chunk\(\): invalid pointer"
    r"|corrupted size vs\. prev_size(?: in fastbins| while consolidating)?"
    r"|corrupted double-linked list(?: \(not small\))?"
    r"|chunk_main_arena|sysmalloc: Assertion"
)
_QUOTE = "[`'\u2018\"]"
ABORT = Runtime(
    kind=Kind.ABORT,
    hints=(
        r"\*\*\* (?:stack smashing|buffer overflow|bit out of range|invalid %N\$ use"
        r"|%n in writable|longjmp causes)",
        r"\*\*\* (?:Error in|glibc detected) ",
        r"(?:double free or corruption|double free detected|free\(\): (?:invalid|corrupted"
        r"|too|unaligned)|malloc\(\): (?:corrupted|memory corruption|invalid|mismatching"
        r"|unsorted|smallbin|largebin|unaligned)|malloc_consolidate\(\): |realloc\(\): "
        r"(?:invalid|unaligned)|munmap_chunk\(\): |mremap_chunk\(\): "
        r"|corrupted size vs\. prev_size|corrupted double-linked list)",
        r"terminate called (?:after throwing an instance of|without an active exception"
        r"|recursively)",
        r"pure virtual method called",
        r"Assertion [`'\"]",
        r"Assertion failed: ",
        r"\(core dumped\)",
    ),
    clues=(
        clue(
            Role.HEAD,
            r"\*\*\* (?P<message>(?:stack smashing|buffer overflow"
            r"|bit out of range [^*]{0,40}|invalid %N\$ use|%n in writable segment"
            r"|longjmp causes uninitialized stack frame)(?: detected)?) \*\*\*(?:: "
            r"(?!terminated)(?P<program>[^\s<:]{1,200}))?",
        ),
        clue(
            Role.HEAD,
            rf"\*\*\* (?:Error in|glibc detected) ?(?:\*\*\* )?{_QUOTE}?"
            rf"(?P<program>[^\s'`:]{{1,200}})'?: (?P<message>{_HEAP})",
        ),
        clue(Role.HEAD, rf"(?:(?P<program>[^\s:()]{{1,200}}): )?(?P<message>{_HEAP})\s*$"),
        clue(
            Role.HEAD,
            rf"(?:.{{0,60}}\s)?(?P<message>terminate called) after throwing an instance of"
            rf" {_QUOTE}(?P<type>[^'\"]{{1,300}})",
            "uncaught {type} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,60}\s)?(?P<message>terminate called (?:without an active exception"
            r"|recursively)|pure virtual method called)",
        ),
        clue(
            Role.HEAD,
            rf"(?:(?P<program>[^\s:()]{{1,200}}): )?(?P<file>[^\s:]{{1,300}}):"
            rf"(?P<line>\d{{1,7}}): (?:(?P<function>.{{1,400}}): )?Assertion {_QUOTE}"
            rf"(?P<message>.{{1,400}})['\"\u2019] failed\.?",
            "assertion failed: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            rf"(?:(?P<program>[^\s:()]{{1,200}}): )?Assertion {_QUOTE}"
            rf"(?P<message>.{{1,400}})['\"\u2019] failed at (?P<file>[^\s:]{{1,300}}):"
            rf"(?P<line>\d{{1,7}}), function (?P<function>[^\s(]{{1,200}})",
            "assertion failed: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:(?P<program>[^\s:()]{1,200}): )?Assertion failed: (?P<message>.{1,400}) \("
            r"(?P<file>[^\s():]{1,200}): (?P<function>\w{1,100}): (?P<line>\d{1,7})\)",
            "assertion failed: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:(?P<program>[^\s:()]{1,200}): )?Assertion failed: (?P<message>.{1,400}), "
            r"(?:function (?P<function>[^\s,]{1,200}), )?file "
            r"(?P<file>[^\s,]{1,200}), line (?P<line>\d{1,7})",
            "assertion failed: {message} in {where}",
        ),
        clue(
            Role.HEAD,
            r"(?:.{0,200}\s)?(?P<message>Aborted) {1,20}\(core dumped\)(?: {1,4}"
            r"(?P<program>[^\s|&;]{1,200}))?",
        ),
        clue(Role.FACT, r"\s*what\(\):\s{0,4}(?P<what>.{0,500})"),
        clue(Role.TRACE, r"={4,12} Backtrace: ={4,12}"),
        clue(
            Role.FRAME,
            r"(?P<object>[^\s()\[\]]{1,200})\((?P<function>[^()+]{0,200})\+0x[0-9a-f]{1,16}"
            r"\) ?\[0x[0-9a-f]{1,16}\]",
        ),
        clue(
            Role.FRAME,
            r"(?P<object>/[^\s()\[\]]{1,200})(?P<function>)(?:\(\))? ?\[0x[0-9a-f]{1,16}\]",
        ),
        clue(Role.END, r"={4,12} Memory map: ={4,12}"),
    ),
    title="{message} in {where}",
    where="{function}",
    rules=_NATIVE_RULES,
    gap=1,
    traced=False,
)

RUNTIMES = (
    SEGFAULT,
    SERVICE,
    COREDUMP,
    USER_SANITIZER,
    ABORT,
    PYTHON,
    PYTHON_SYNTAX,
    PYTHON_FATAL,
    JAVA,
    JAVA_FATAL,
    GO,
    RUST,
    NODE_FATAL,
    NODE,
)
"""The rows, in the order in which they are tried on a line."""
