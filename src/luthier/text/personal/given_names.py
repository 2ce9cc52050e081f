"""Given names that are hardly ever anything else: no common words, cities or months among them.

A few hundred of many languages, for telling texts that differ in a name only; too few to find people by.
"""

_NAMES = """
adam aisha alan albert alejandro alice alicia amanda amelia amina amir amy ana andrea andreas andrew angela anita anja
ann anna anne annette anthony antonia antonio arjun arthur astrid audrey ayse barbara beatrice benjamin bernd beth
birgit bjorn brandon brenda brian bruno camille carlos carmen caroline catherine cecilia cedric chantal charles chen
chiara chidi chloe christina christine christopher chukwu claire clara claudia craig cristina cynthia dagmar daniel
daniela danielle david deborah deepak denise dennis derek diana dieter dimitri dmitri dolores dominik donald donna
doris dorothy douglas dylan edith eduardo edward eileen elena elisabeth elizabeth ellen emily emma emmanuel enrique
eric erik esther ethan eugene eva evelyn fabian fatima fatma felipe fernando fiona florian franziska françois
frederick friedrich gabriel gabriela gareth gary geoffrey george gerald gerhard gertrud giovanni gisela giulia
giuseppe gloria gonzalo graham greta guillaume gustavo hannah hans harold harriet hassan heather heidi heike heinrich
helen helena helga helmut henrik henry hiroshi hugo ibrahim ignacio imran ines ingrid irene isabel isabelle ivan jacob
jacques jakub jamal james jamila jane janet janice javier jean jeffrey jennifer jens jeremy jessica joan joanna johan
johanna johannes john jonas jonathan jorge jose joseph joshua josé juan judith julia julian juliane julie juliette
justin jürgen kamal karen karin karl karolina katarzyna kate katharina katherine kathleen katrin keith kelly kenji
kenneth kevin khadija kofi krzysztof kumar kwame kyle lakisha lakshmi larissa larry lars latoya laura lauren laurent
leila lena leonardo leroy lewis lina linda lisa lorenzo louis louise lucas lucia lucie luis luisa lukas luke lutz
lydia magdalena mahmoud malgorzata manuel manuela marcel marcin marco marcos marek margaret maria mariam marie marina
mario marion markus marta martha martin martina mary matthew matthias maurice maya megan mehmet melanie melissa
michael michaela michał michel michelle miguel mohamed mohammad mohammed monica monika mustafa nadia nancy naomi
natalia natalie nathan ngozi nicholas nicola nicolas nicole nigel nikolai nils nina noah noor norbert olga oliver
olivia omar oscar osman pablo pamela patricia patrick paul paula pauline pavel pedro penelope peter petra philip
philippe pierre piotr priya rachel rafael rahul raj rajesh ralf ralph ramon raymond rebecca reinhard renate ricardo
richard robert roberto rodrigo roland ronald rosa rosalind rosie roxanne ruben rudolf russell ruth ryan sabine sabrina
salma samantha samir samuel sandra sanjay sara sarah sebastian selim sergei sergio shanice shannon sharon sheila
shirley silke silvia simon simone sophie stefan stefania stefanie stephanie stephen steven stuart sunita susan susanne
suzanne sven svetlana sylvia tamara tamika tanja tatiana teresa theodore theresa thomas tiago timothy tobias tom
tomasz trevor tyrone ulrich ulrike ursula uwe valentina vanessa veronica vijay vikram viktor vincent vladimir walter
wanjiru werner wilhelm william wojciech wolfgang xavier yasmin yuki yusuf yvonne zainab zoe zofia
"""
GIVEN_NAMES = frozenset(_NAMES.split())
