"""English words whose change changes what a text says, whatever word vectors make of them (opposites are near)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP = _words(
    """
    a an the and or but so if as of to in on at by for from with into onto over than then that this these those
    there here it its itself i me my mine you your yours we us our ours they them their theirs he him his she
    her hers who whom whose which what when where why how is am are was were be been being do does did doing
    done have has had having will would shall can could may might must should also just very really quite rather
    too much many more most some any such each both all other another own same about around up out off again
    further once only even still yet while during because since although though however therefore thus hence
    moreover furthermore additionally overall let lets make makes made get gets got like one ones etc e g s t m
    re ve ll d sure certainly absolutely definitely okay ok well please course indeed actually basically
    generally typically usually often called known named term refers refer means mean answer question following
    example note
    """
)
"""Words that carry structure or courtesy: not expected to have a counterpart."""

NEGATORS = _words("not no never cannot without neither nor none nothing nobody nowhere hardly barely")
WITHHOLDERS = _words("unable impossible avoid avoiding lack lacks lacking fail fails failed")
"""Content words that deny what follows."""
CLAUSE_ENDS = frozenset({".", "!", "?", ";", ":", "\n", "but", "because", "although", "though", "however", "instead"})
SCOPE = 3
"""Content words after a negator that it negates."""
MERELY = _words("only just merely simply necessarily")
"""After "not" these add instead of denying ("not only")."""

ASSENT = _words("yes yeah yep yup absolutely definitely certainly sure correct true right indeed agreed")
DISSENT = _words("no nope nah incorrect false wrong disagree disagreed")
"""First words that take a side."""

_OPPOSITES = """
safe/unsafe,dangerous,hazardous,risky,toxic,poisonous good,great,excellent/bad,poor,terrible,awful true/false,untrue
correct,accurate/incorrect,inaccurate,wrong,mistaken right/wrong legal,lawful/illegal,unlawful possible/impossible
agree,agrees,agreed/disagree,disagrees,disagreed
accept,accepts,accepted,approve,approves,approved/reject,rejects,rejected,refuse,refuses
allow,allows,allowed,permit,permits,permitted/forbid,forbids,forbidden,ban,bans,banned,prohibit,prohibits,prohibited
increase,increases,increased,increasing/decrease,decreases,decreased,decreasing,reduce,reduces,reduced,reducing
rise,rises,rose,risen,rising/fall,falls,fell,fallen,falling,drop,drops,dropped
raise,raises,raised/lower,lowers,lowered love,loves,loved/hate,hates,hated
healthy,healthier/unhealthy,unhealthier,harmful helpful,useful,beneficial/unhelpful,useless,harmful
hot,hotter,hottest/cold,colder,coldest,cool,cooler warm,warmer/cold,colder,cool,cooler
large,larger,largest,big,bigger,biggest/small,smaller,smallest,little,tiny high,higher,highest/low,lower,lowest
long,longer,longest/short,shorter,shortest tall,taller,tallest/short,shorter,shortest
fast,faster,fastest,quick,quickly/slow,slower,slowest,slowly strong,stronger,strongest/weak,weaker,weakest
easy,easier,easiest,simple,simpler/hard,harder,hardest,difficult cheap,cheaper,cheapest,inexpensive/expensive,costly
early,earlier,earliest/late,later,latest before/after old,older,oldest/new,newer,newest,young,younger,youngest
always/never,rarely,seldom often,frequently/rarely,seldom,never everyone,everybody/nobody everything/nothing
more/less,fewer most/least,fewest best/worst better/worse win,wins,won,winning/lose,loses,lost,losing
buy,buys,bought,purchase/sell,sells,sold open,opens,opened/close,closes,closed,shut
start,starts,started,begin,begins,began/end,ends,ended,stop,stops,stopped
add,adds,added/remove,removes,removed,subtract,subtracts,subtracted multiply/divide import,imports/export,exports
inside/outside above/below,beneath,under left/right up/down full/empty light/heavy light,bright/dark dry/wet
alive,living/dead friend/enemy success,succeed,succeeds,succeeded,successful/failure,fail,fails,failed,unsuccessful
happy,glad/sad,unhappy positive,positively/negative,negatively advantage,advantages/disadvantage,disadvantages
recommend,recommends,recommended,suggest/avoid,avoids,avoided,discourage,discourages support,supports/oppose,opposes
likely/unlikely necessary/unnecessary,optional required,mandatory/optional able/unable common/rare,uncommon
visible/invisible natural/artificial ancient/modern public/private male,man,boy/female,woman,girl
renewable/nonrenewable gain,gains,gained/loss,loses,lost,lose maximum/minimum odd/even vertical/horizontal
clockwise/counterclockwise guilty/innocent friendly/hostile,unfriendly polite,respectful/rude,impolite
pass,passes,passed/fail,fails,failed include,includes,included,including/exclude,excludes,excluded,excluding
connect,connected/disconnect,disconnected appear,appears,appeared/disappear,disappears,disappeared,vanish
encourage,encourages,encouraged/discourage,discourages,discouraged attack,attacks,attacked/defend,defends,defended
enable,enables,enabled/disable,disables,disabled expand,expands,expanded/contract,contracts,contracted,shrink,shrinks
boy/girl father/mother son/daughter brother/sister king/queen husband/wife arrive,arrives/depart,departs,leave,leaves
"""

_EXCLUSIVE = """
red orange yellow green blue purple=violet pink brown black white gray=grey
north south east west northern southern eastern western
spring summer autumn=fall winter
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
second=seconds minute=minutes hour=hours day=days week=weeks month=months year=years decade=decades century=centuries
meter=meters=metre=metres kilometer=kilometers=kilometre=kilometres=km mile=miles inch=inches foot=feet yard=yards
millimeter=millimeters=millimetre=millimetres=mm centimeter=centimeters=centimetre=centimetres=cm
gram=grams=g kilogram=kilograms=kg pound=pounds=lb=lbs ounce=ounces=oz ton=tons=tonne=tonnes
celsius=c fahrenheit kelvin
dollar=dollars=usd euro=euros=eur pound=pounds yen rupee=rupees
mercury venus earth mars jupiter saturn uranus neptune pluto
breakfast lunch dinner
oxygen nitrogen hydrogen helium carbon iron gold silver copper lead zinc sodium calcium potassium chlorine
first second third fourth fifth sixth seventh eighth ninth tenth
physics chemistry biology mathematics history geography
plus minus times
mammal=mammals reptile=reptiles bird=birds fish insect=insects amphibian=amphibians
triangle square circle rectangle pentagon hexagon octagon
wife husband mother father sister brother daughter son aunt uncle
"""

_UNITS = (
    *("zero", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS: Mapping[str, int] = {
    **dict(zip(_UNITS, (0, *range(2, 20)), strict=True)),
    **dict(zip(_TENS, range(20, 100, 10), strict=True)),
    "dozen": 12,
}
"""Numbers by name; "one" is left out, since it is mostly no number."""
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def _opposites(text: str) -> dict[str, tuple[tuple[str, int], ...]]:
    table: dict[str, tuple[tuple[str, int], ...]] = {}
    for pair in text.split():
        axis, sides = pair, pair.split("/")
        for sign, side in zip((1, -1), sides, strict=True):
            for word in side.split(","):
                table[word] = (*table.get(word, ()), (axis, sign))
    return table


def _groups(lines: Iterable[str]) -> dict[str, tuple[tuple[int, str], ...]]:
    table: dict[str, tuple[tuple[int, str], ...]] = {}
    for number, line in enumerate(lines):
        for member in line.split():
            for name in member.split("="):
                table[name] = (*table.get(name, ()), (number, member))
    return table


OPPOSITES = _opposites(_OPPOSITES)
"""Word to the axes it lies on, each with the end: 1 or -1."""
EXCLUSIVE = _groups(_EXCLUSIVE.strip().splitlines())
"""Word to what it stands for: (group, member), an answer means one member of a group and not another."""
