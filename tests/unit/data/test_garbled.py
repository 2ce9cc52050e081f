import base64
import hashlib
import random

import pytest

from luthier.core.recipe import CleanSection
from luthier.core.rows import Message, Origin, Row
from luthier.data.clean import cleaning_steps, run_steps
from luthier.data.garbled import find_garbling, not_garbled
from luthier.data.reasons import Dropped

ORIGIN = Origin("t.csv", 1)
DATA = base64.b64encode(random.Random(3).randbytes(300)).decode()
HEX = hashlib.sha512(b"data").hexdigest() * 2

WRONGLY_DECODED = [
    "Ïðèâåò, êàê äåëà? Õîòåëîñü áû óçíàòü, ãäå ìîé çàêàç.",  # Windows-1251 as Latin-1
    "ðÒÉ×ÅÔ, ÍÎÅ ÎÕÖÎÁ ÐÏÍÏÝØ Ó ÚÁËÁÚÏÍ",  # KOI8-R as Latin-1
    "ÄãºÃ£¬ÎÒµÄ¶©µ¥ÔÚÄÄÀï£¿",  # GBK as Latin-1
    "¾È³çÇÏ¼¼¿ä ÁÖ¹®ÀÌ ¾îµð¿¡ ÀÖ³ª¿ä",  # EUC-KR as Latin-1
    "‚±‚ñ‚É‚¿‚Í’•¶‚ð",  # Shift JIS as Windows-1252
    "Ãëþóóá åëëçíéêÜ ôåëåõôáßá",  # ISO 8859-7 as Latin-1
    "Meine Stra\ufffde hei\ufffdt jetzt anders, bitte \ufffdndern.",
    "Die Rechnung f\ufffdr M\ufffdrz fehlt mir noch.",
    "Où est ma commande? Elle a \ufffdt\ufffd livr\ufffde hier.",
    "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd \ufffd\ufffd\ufffd\ufffd",
    "fÃ?r die LÃ?nge und GrÃ?Ãe meines Tisches",
    "订单锟斤拷状态锟斤拷查询",
    "dâ€â€â€ stuff ÃƒÂ ÃƒÂ and more ÃƒÂ of it",
]
SYMBOLS = [
    "@#$%^&*()_+!@#$%^&*(){}|:<>?!@#$%^&*",
    "!@#$%^&*()!@#$%^&*()!@#$%^&*() hi !@#$%^&*()",
    "$#@!%^ &*()_+ ~!@#$ %^&*( )_+{} |:<>? ~!@#$ %^&*",
    "?!?!#?!$%?&*?!#@?!^%?!&*~?!@#?!%$?!&*?!",
]
ENCODED = [
    DATA,
    f"Here is my file: {DATA}",
    "\n".join(DATA[place : place + 76] for place in range(0, len(DATA), 76)),
    HEX,
    f"log {HEX}\n{HEX}",
    "\n".join(f"{HEX[place : place + 32]}{HEX[place : place + 32]}" for place in range(0, 128, 32)) + HEX,
    " ".join(f"a{number:x}"[-2:] for number in range(0x10, 0xA0)) * 3,
    "-----BEGIN CERTIFICATE-----\n" + "\n".join(DATA[n : n + 64] for n in range(0, 384, 64)) + "\n-----END-----",
]
NO_WORDS = [
    "asdfgh jkl qwer asdf sdfg hjkl",
    "asdfjkl asdfjkl asdfjkl",
    "sdkjfhskdjfh skdjfhks kjdfh",
    "fjdksla fjdkslg ruty fjdk vbnm",
    "lkjhgfdsa lkjhgfdsa lkjhgf",
    "hjkhjkhjk hjkhjkhj ghjghj",
    "dfgdfg fghfgh dfgdfg xcvxcv",
    "asdasd asdasd asdasd asdasd",
    "xcvxcv cvbcvb vbnvbn please",
    "akjsdh askjdh aksjdh kajshd sdjkh",
    "bvcxz mnbvcxz lkjhgf qpwoeiruty zmxncbv",
    "w e  n e e d  t h e  t a b l e  b y  f r i d a y  s o  p l e a s e  s e n d  i t",
    "d e r  t i s c h  i s t  n o c h  n i c h t  d a  u n d  d e r  s t u h l  a u c h  n i c h t",
]
MARKUP = [
    r"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}{\colortbl;\red0;}\pard\f0\fs24 Hi\par\pard\fs20 you\par\cf1}",
    "Gr=C3=BC=C3=9Fe aus K=C3=B6ln,=\n ich m=C3=B6chte =C3=BC=C3=B6 r=C3=A4t =E2=82=AC=\n zahlen",
    "p.MsoNormal, li.MsoNormal {mso-style-parent:none; mso-pagination:none; mso-bidi-font-size:12.0pt; mso-ansi:DE}",
    "<o:p></o:p> <p class=MsoNormal style='mso-margin-top-alt:auto'><o:p>Hi</o:p></p>",
    '<td class="cell" style="padding:0"><a href="https://shop.example/item?id=1"><img src="a.png"/></a></td>' * 6,
]

CODE = [
    "def mean(values):\n    return sum(values) / len(values) if values else 0.0",
    "for (int i = 0; i < n; i++) { if (a[i] != b[i] && !(c[i] ^ d[i])) { s += (a[i] << 2) | (b[i] & 0xff); } }",
    "if (!(x&&y)||z){a[i]={b:[1,2],c:{}};f(()=>{g()})}",
    "SELECT id, body FROM tickets WHERE closed = 1 AND body LIKE '%refund%' ORDER BY id DESC LIMIT 10;",
    "^(?=.*[a-z])(?=.*[A-Z])(?=.*\\d)[A-Za-z\\d@$!%*?&]{8,}$",
    "find . -name '*.py' -print0 | xargs -0 grep -nE 'def \\w+\\(' | sed -e 's/:.*//' | sort | uniq -c",
    "```\n!@#$%^&*(){}|:<>?!@#$%^&*()_+!@#$%^&*\n```",
    f"```\n{DATA}\n```",
    "+[-->-[>>+>-----<<]<--<---]>-.>>>+.>>..+++[.>]<<<<.+++.------.<<-.>>>>+.",
    '<ul class="menu"><li><a href="/">Home</a></li><li><a href="/shop">Shop and returns</a></li></ul>',
    '{"order": {"id": 1042, "items": [{"sku": "AF-1", "n": 2}], "paid": true}, "notes": null}',
    "mov eax, dword ptr [ebp-4]\nxor ecx, ecx\ncmp eax, ecx\njnz short loc_401020\nshr ebx, 2\njmp loc_40",
    r"\frac{1}{2}\int_0^1 x^2\,dx + \sum_{k=1}^{n} \binom{n}{k} = \sqrt{\pi}\,\left(\alpha_1+\beta^2\right)",
]
TABLES = [
    "| size | price |\n|------|-------|\n| S | 12.50 |\n| M | 14.00 |\n| L | 16.25 |",
    "+--------+--------+\n| 1 | 2 |\n+--------+--------+\n| 3 | 4 |\n+--------+--------+",
    "12 14 18 22 91 33 45 61 17 29 38 41 56 72 83 94 11 27 35 48 52 66 79 88 " * 5,
    "==========================================\nOrder 17\n==========================================",
    "1. A 2. C 3. D 4. B 5. A 6. B 7. C 8. D 9. D 10. A 11. C 12. B 13. A 14. D 15. B 16. C",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "A D C B A C B D A C D B A B C D A C B D A C B A D C B A C D B A",
    "* * * * * * * * * * * * * * * * * * * * * * * * * * * * * * *",
]
ADDRESSES = [
    "https://www.shop.example/p/AF-1042?utm_source=mail&utm_campaign=spring%20sale&ref=xkcd_qwzx#reviews",
    "see https://cdn.example/v1/files/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.pdf",
    "My tracking number is 1Z999AA10123456784, and the order AF-40202-XKQZ-77.",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "550e8400-e29b-41d4-a716-446655440000 550e8400-e29b-41d4-a716-446655440001 550e8400-e29b-41d4-a716-446655440002",
    "src/main/java/com/example/warehouse/management/service/implementation/DefaultShipmentTrackingServiceImplementation.java",
    "this-is-a-very-long-slug-of-a-page-about-returns-and-refunds-of-furniture-that-was-made-to-order-in-2024-or-later"
    * 2,
    "[NAME], [EMAIL], [PHONE], [CARD], [IBAN], [ADDRESS], [ACCOUNT], [EMAIL], [PHONE]",
    "[EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL] [EMAIL]",
    "kj4h-5gj3-xk2q-zx9w-vb7n-qw3r",
    "DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX",
]
LANGUAGES = [
    "Где мой заказ? Я заказал стол две недели назад, и он до сих пор не пришёл.",
    "أين طلبي؟ لقد طلبت الطاولة منذ أسبوعين ولم تصل بعد.",
    "我的订单在哪里？我两周前订了一张桌子，但还没有到。",
    "注文したテーブルがまだ届きません。いつ頃になりますか？",
    "주문한 책상이 아직 도착하지 않았습니다. 언제 오나요?",
    "ההזמנה שלי עדיין לא הגיעה, מתי היא תגיע?",
    "मेरा ऑर्डर अभी तक नहीं आया है, वह कब आएगा?",
    "โต๊ะที่สั่งยังไม่มาถึง จะมาถึงเมื่อไหร่",
    "Πού είναι η παραγγελία μου; Την περιμένω δύο εβδομάδες.",
    "Strč prst skrz krk. Čtvrthrst zrn, chrt zdrhl.",
    "Zstąp, bezwzględny przestępco, wstrzymaj źdźbło trzciny w Szczebrzeszynie.",
    "Die Rechtschreibung der Angstschweißschrift: Borschtschgeschmack, Deutschschweiz.",
    "Mae'r cwch ar y llyn wrth ymyl y cwm, ac mae'r dŵr yn ddwfn.",
    "Þýðing á öðru máli: það er ætíð örðugt að þýða ljóðið.",
    "Đơn hàng của tôi ở đâu? Tôi đã đặt bàn hai tuần trước.",
    "Agbègbè Òkun Índíà Brítánì",
    "Élève zélé créé l'été, à Orléans, où l'âge précède la sérénité.",
    "pls snd my pkg asap thx, cn u cnfrm whn it shpd",
    "hahahaha jajajaja kkkkkkkk lol brb omg wtf",
]
OTHERS = [
    "",
    "ok",
    "😀😀😀 👍🏽👍🏽 🎉🎉 thank you so much!!! 🙏🙏🙏🙏🙏🙏🙏🙏🙏🙏🙏🙏",
    "😀😂🤣😊😍🥰😘😜🤪🤨🧐🤓😎🤩🥳😏😒😞😔😟",
    "What does the character \ufffd mean in my file?",
    "Wait... what?!?! Really??? No!!! ***** come on ***** (sigh) -- ok :-) ;-) :-/ <3",
    "My password was 'gT7$xkQz!' and now it is not accepted.",
    "An RTF file begins with {\\rtf1\\ansi and ends with a brace.",
    "filter?size=20&page=10&sort=30&from=40&until=50&shop=60&n=70&m=80&k=90&z=10&a=11",
    "rgb(12, 40, 55); #ff00aa; 50 %; 10 px; £12.50; 20 °C; ½ cup; 3 × 4 = 12; ±2 µm",
    "“Curly”, ‘quotes’ — dashes… bullets • and ® ™ © signs, €20 or £15, § 5 ¶ 2",
]
GARBLED = [*WRONGLY_DECODED, *SYMBOLS, *ENCODED, *NO_WORDS, *MARKUP]
SOUND = [*CODE, *TABLES, *ADDRESSES, *LANGUAGES, *OTHERS]


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (WRONGLY_DECODED, "faults of decoding"),
        (SYMBOLS, "are symbols"),
        (ENCODED, "are encoded data"),
        (NO_WORDS, ""),
        (MARKUP, ""),
    ],
)
def test_broken_text_is_found_and_the_fault_named(texts: list[str], fault: str) -> None:
    found = {text: find_garbling(text) for text in texts}
    assert {text: why for text, why in found.items() if why is None or fault not in why} == {}


@pytest.mark.parametrize("texts", [CODE, TABLES, ADDRESSES, LANGUAGES, OTHERS])
def test_sound_text_passes(texts: list[str]) -> None:
    assert {text: why for text in texts if (why := find_garbling(text))} == {}


def test_the_faults_do_not_repeat_the_text() -> None:
    assert all(len(find_garbling(text) or "") < 70 for text in GARBLED)


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_passes_within_prose(text: str) -> None:
    assert find_garbling(f"Hello, I have a question about this, please: {text} Could you help me with it?") is None


def test_a_broken_place_in_a_long_text_is_forgiven() -> None:
    assert find_garbling("Meine Stra\ufffde. " + "Der Tisch steht noch im Lager und kommt am Freitag. " * 3) is None


def test_lone_surrogates_are_no_crash() -> None:
    assert find_garbling("a \ud800 lone surrogate") is None


def test_a_turn_is_enough_and_tools_and_prompts_are_left_alone() -> None:
    turns = [("system", HEX), ("user", "Where is it?"), ("tool", f"{DATA}{HEX}"), ("assistant", "On its way.")]
    messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[typeddict-item]
    assert not_garbled(row := Row("", ORIGIN, messages)) is row
    mash = Message(role="user", content="asdfgh jkl qwer asdf sdfg hjkl")
    assert not_garbled(Row("", ORIGIN, (*messages[:1], mash, *messages[2:]))) == Dropped(
        ("garbled: 6 words of letters that stand together in no language",)
    )


def test_the_recipe_turns_it_off_and_what_can_be_mended_is_not_dropped() -> None:
    mended = Row("", ORIGIN, text="FÃ¼r den groÃŸen Tisch, bitte: itâ€™s the â‚¬50 one")
    broken = Row("", ORIGIN, text=WRONGLY_DECODED[0])
    assert run_steps(mended, cleaning_steps(CleanSection(), "")).reasons == ()
    assert [why.partition(":")[0] for why in run_steps(broken, cleaning_steps(CleanSection(), "")).reasons] == [
        "garbled"
    ]
    assert run_steps(broken, cleaning_steps(CleanSection(garbled=False), "")).reasons == ()
