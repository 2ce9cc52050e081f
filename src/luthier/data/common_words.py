"""Words that make up a good part of what people write in some languages: enough to tell most texts by."""

from collections.abc import Mapping

_LISTS = {
    "en": (
        "the and you your that this with have has are were but they them from can could would should what when where"
        " which who how why there their our us it it's my been did don't doesn't didn't can't won't i'm i've i'll not"
        " for if any some please thanks thank know need get got about because after before still just only also than"
        " then these those she his her at to i by is we of be or will like do does was had let's you're we'll more out"
        " a an in on as so no me he am one over all up off now here him who's that's hello sorry into very per via last"
    ),
    "de": (
        "der die das und ist nicht ich ein eine einen einem einer zu den dem mit auf für sie es wir sich auch bei noch"
        " nach wie wird wurde werden haben habe hat sind bitte mir mich ihr ihre ihren ihnen ihrem oder aber wenn dass"
        " im vom zum zur kann können möchte meine meiner mein vielen dank leider nur schon hallo uns unsere von aus"
        " in an am so es war man was als um bis durch"
    ),
    "fr": (
        "le la les des et est pas je vous un une pour que qui dans sur avec nous il elle ce cette mon ma mes votre vos"
        " du au aux ne plus ai avez bien mais merci bonjour si très été j'ai c'est de en sont notre nos être avoir"
        " fait comme tout chez puis-je ou y à se on me son sa l'ai sans"
    ),
    "es": (
        "el los las y es en por con para que una un se lo del al mi su pero más está como muy ya gracias hola le nos"
        " tengo puede qué han ha he de la no me si sus sin hay sobre este esta usted ustedes cuando también a e o te"
    ),
    "it": (
        "il lo gli di che non è per una un del della dei delle le mi si ma con sono ho ha alla nel nella questo questa"
        " grazie anche più la da come ci vostro vostra mio mia buongiorno e i al ed avete abbiamo a in se o ho lo"
    ),
    "pt": (
        "o os que não um uma por com para da das dos na no em se meu minha mas mais foi está obrigado obrigada é ao à"
        " você eu de e a as do como muito já nos nossa nosso seu sua tem são bom dia olá"
    ),
    "nl": (
        "de het een en van niet dat ik ze zijn op met voor maar er ook naar mijn bij uw u wij nog heb heeft hebben kan"
        " wel om aan dit deze is te in we of als u kunt wordt dan geen graag bedankt hallo wat door onze ons was"
        " hier so over me na"
    ),
    "pl": (
        "nie się na w z jest że do jak ale czy mi po od za dla już tak moja mój mam był jestem proszę i to o by co"
        " dziękuję mnie jeszcze przez dzień dobry oraz może aby pan pani są ze"
    ),
    "sv": "och att det som inte jag på är en ett med för har av till den vi ni min mitt kan men om hej tack från",
    "da": "og det er ikke jeg på en et med for har af til den vi min mit kan men om at der hej tak fra som",
    "no": "og det er ikke jeg på en et med for har av til den vi min mitt kan men om at som hei takk fra",
    "fi": "ja on ei se että en olen mutta kun ole mitä hei kiitos voi minun",
    "cs": "je se na že to v s a ale jsem mi pro by si tak jak už z o do prosím dobrý den",
    "ro": "și nu este un o în cu pe la de că mai am pentru sunt din să ce vă",
    "hu": "a az és nem hogy egy van is de ez meg kérem",
    "tr": "ve bir bu için ile çok da de ne ama var mi bana değil",
    "id": "yang dan di ini itu saya tidak untuk dengan ada ke dari bisa apa",
}
COMMON_WORDS: Mapping[str, frozenset[str]] = {language: frozenset(words.split()) for language, words in _LISTS.items()}
"""By ISO 639-1 code; a word may stand in several lists."""
