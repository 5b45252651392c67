"""How the stories of the sample world say things: templates for `telling`, and what goes wrong in them."""

ONE_DAY = (
    "[one|on a|late one|early one] [cold|warm|bright|grey|windy|quiet|fine|misty|lovely|strange|busy|"
    "frosty|rainy|sunny|"
    "dark|clear] [morning|evening|afternoon|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|day in spring|"
    "day in summer|day in autumn|day in winter|market day|holiday]"
)
HOW = (
    "[slowly|quickly|quietly|happily|sadly|carefully|proudly|softly|bravely|gently|calmly|politely|eagerly|shyly|"
    "cheerfully|patiently|loudly|kindly|merrily|slyly|sleepily|warmly|solemnly|dreamily|lightly|gladly|boldly|neatly|"
    "sweetly|wisely|gravely|brightly|firmly|freely|gracefully|greedily|hastily|honestly|hopefully|humbly|innocently|"
    "joyfully|lazily|meekly|modestly|nervously|nicely|openly|playfully|promptly|quaintly|sharply|simply|sincerely|"
    "smoothly|steadily|stiffly|suddenly|tenderly|thoughtfully|timidly|truly|warily|wearily|at once|after a while]"
)
AT_HOME = (
    "[peacefully|quietly|happily|for a long time|until late|by the fire|without a care|like a king|"
    "all night|in the dark|"
    "with open windows|in the big chair|under a warm blanket|as never before|all alone|to the sound of rain]"
)
ASKED = "[asked|said|wondered|began|inquired|whispered|called|murmured]"
ANSWERED = (
    "[said|answered|replied|called|whispered|shouted|cried|declared|explained|laughed|smiled|mumbled|sang|sighed]"
)
LIKE_WHAT = (
    "[new|small|big|heavy|light|pretty|plain|fine|useful|round|broken|shiny|dusty|favourite|wooden|little|strong|"
    "strange|clean|famous|simple|precious|painted|long|short|thin|thick|lovely|second|best|last|rare|tall|tiny|cheap|"
    "curious|dear|faded|fancy|foreign|funny|good|great|handsome|hidden|huge|magic|modern|narrow|neat|polished|proper|"
    "rough|rusty|secret|silly|smooth|soft|solid|special|spare|splendid|sturdy|torn|wide|wonderful]"
)
MOOD = (
    "[happy|glad|proud|pleased|cheerful|thankful|content|merry|excited|delighted|calm|hopeful|relieved|joyful|at ease|"
    "full of joy|cheered up|in high spirits|very much at home|rich in hope|sure of everything|wide awake|young again|"
    "ready for anything|light of heart|free of care|warm inside|curious|lucky|in love with the world|well rested|brave]"
)
LOW_MOOD = (
    "[sad|worried|tired|angry|upset|lonely|afraid|unhappy|nervous|gloomy|cross|ashamed|hungry|cold|"
    "puzzled|sorry|bored|lost|helpless|homesick|"
    "confused|sleepy|grumpy|thirsty|shocked|hurt|lazy|out of luck|weak|pale|silent|alone]"
)
THEN = "[then|after that|a little later|soon|at last|suddenly|an hour later|before long|in the end|next|by and by|now]"
WENT = "[went|walked|ran|hurried|wandered|strolled|marched|rode|trotted|rushed]"
# What is around, of each sort with what it can be and do.
AROUND = (
    "[a|the|one|some|this|that] [[little|small|tired|lonely|shy|young|quick|clever|hungry|bold|brown|blue|wild|busy|"
    "grey|plump] [bird|cuckoo|thrush|lark|swallow|robin|finch|gull] [sang|called|woke|turned round|flew by|hopped|"
    "dozed|drank]|[pale|bright|warm|golden|silver|soft|small|distant|white|red|late|lonely|round|weak|clear|cold] "
    "[moon|star|candle|lantern|window|fire|beam|torch] [shone|glittered|glowed|went out|could be seen|came near|"
    "flickered|grew larger]|[tall|thin|green|young|small|bent|slender|lonely|dry|wet|soft|bare|dark|wild|crooked|"
    "broad] [tree|flower|leaf|branch|rose|reed|birch|bush] [swayed|trembled|bent over|rustled|moved|stood still|"
    "shook|nodded]|[heavy|small|big|rusty|wooden|distant|loose|broken|painted|black|narrow|brass|crooked|clumsy|dull|"
    "plain] "
    "[bell|door|gate|cart|shutter|drum|hammer|wheel] [rang|creaked|rattled|turned|banged|was heard|fell silent|"
    "stopped]] " + HOW + "."
)
WHERE = "[on the table|on the shelf|in the kitchen|by the window|near the fire|under the roof|at the door|in a corner]"
PASSING = (
    "[far away|not far off|over there|behind a wall|from a window|in the distance] a [child|girl|boy|woman|man|"
    "stranger|neighbour|sailor|soldier|king|queen|beggar|hunter|miller|shepherd|traveller] [sang|waved|slept|nodded|"
    "looked up|danced|laughed|yawned|whistled|waited|worked|ate|hopped|was reading|sneezed|was talking] [under a tree|"
    "in the sun|in the shade|in the grass|at a fence|on a bench|by the road|at a gate|near a cart|on the stairs|"
    "by a fire|at a table|" + HOW + "]."
)
# How a description begins, and the mark after the name.
OPENINGS: tuple[tuple[str, str], ...] = (
    ("who is", "?"),
    ("do you know", "?"),
    ("let me tell you about", "."),
    ("this is about", "."),
)
SEES = "[saw|met|found|noticed|heard|came upon|ran into|greeted]"
END = (
    "[that is how it was|so ended the [day|evening|walk]|what a [day|walk|surprise] it had been|nobody forgot that day|"
    "and then they both went home|it was a good [end|day|story]|they still talk about it [today|now "
    "and then|in winter]|"
    "the [stars|birds|bells|crickets|frogs] [sang|were out|could be heard] [all night|until late|that night]]"
)

# What goes wrong, and what helps: each trouble has its one remedy.
TROUBLES: tuple[tuple[str, str], ...] = (
    ("had fallen into the well", "rope"),
    ("sat too high in the oak", "ladder"),
    ("was shut in the barn", "key"),
    ("was lost in the wood", "lamp"),
    ("sat in a leaking boat", "bucket"),
    ("was cold in the snow", "blanket"),
    ("stood in the heavy rain", "umbrella"),
    ("did not know the way to the tower", "map"),
)
# How weather begins, what comes of it, and how it ends.
WEATHERS: tuple[tuple[str, str, str], ...] = (
    ("it began to rain", "the ground got wet", "the rain stopped"),
    ("it began to snow", "the roofs turned white", "the snow stopped falling"),
    ("a strong wind came up", "the hats flew away", "the wind went down"),
    ("a thick fog came", "nobody could see the path", "the fog went away"),
    ("a storm broke", "the trees bent low", "the storm passed"),
    ("it grew very cold", "the lake froze", "the sun came back"),
)
