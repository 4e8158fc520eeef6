"""Each check of a translated block fails when its fault is planted."""

import pytest
from translation_checks import CHECKS, faults_of, terms_of

ENGLISH = (
    "A **patch** of $P = 4$ pixels is a token; see [chapter 2](../02.md#a), `patchify` and 3 more."
)
CHINESE = (
    "边长 $P = 4$ 像素的**图像块**就是一个词元；"
    "见[第 2 章](../02.md#a)、`patchify`，以及另外 3 处。"
)

FAULTS = {
    "another equation": ("$P = 4$", "$P = 5$", "equations"),
    "a lost equation": ("$P = 4$ ", "", "equations"),
    "other code": ("`patchify`", "`unpatchify`", "code"),
    "translated code": ("`patchify`", "切块", "code"),
    "another link": ("../02.md#a", "../02.md#b", "links"),
    "another number": ("另外 3 处", "另外 4 处", "numbers"),
    "a lost number": ("另外 3 处", "另外几处", "numbers"),
    "half-width comma": ("，以及", ",以及", "half-width"),
    "half-width stop": ("3 处。", "3 处.", "half-width"),
    "no space": ("另外 3 处", "另外3 处", "no space"),
    "no space at code": ("、`patchify`", "和`patchify`", "no space"),
    "a space at a mark": ("；见", "； 见", "a space beside"),
    "another term": ("图像块", "图块", "图像块"),
    "lost bold": ("**图像块**", "图像块", r"\*\*"),
    "patch the wrong way": ("**图像块**", "**图像块（补丁）**", "补丁"),
    "a line more": ("；见", "；\n见", "2 lines"),
    "left in English": ("以及另外 3 处", "and 3 more of the kind", "left in English"),
}

OTHERS = [
    ("The logits of a head.", "一个头的日志。", "日志"),
    ("A head.", "一位主管。", "主管"),
    ("The transformer.", "变压器。", "变压器"),
    ("The paper.", "这张纸张。", "纸张"),
    ("## Patches {#patches}", "## 图像块 {#pieces}", "attributes"),
    ("# Patches", "图像块", "lines begin"),
    ("- one\n- two", "- 一\n二", "lines begin"),
    ('<span class="a">x</span>', '<span class="b">x</span>', "tags"),
    ("{{ run.time }} long", "很长", "templates"),
    ("{% if a %}x{% endif %}", "{% if b %}x{% endif %}", "templates"),
    ("<!-- alt: A cat. -->\n**Figure 1.1.** Cat.", "一只猫。\n**图 1.1** 猫。", "lines begin"),
    ("303 million pictures", "303 万张图片", "numbers"),
    ("Position embeddings.", "嵌入。", "位置嵌入"),
    ("Queries meet keys.", "问题遇到键。", "查询"),
]


def test_a_sound_block_has_no_fault():
    assert faults_of(ENGLISH, CHINESE) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name):
    sound, planted, named = FAULTS[name]
    assert sound in CHINESE
    faults = faults_of(ENGLISH, CHINESE.replace(sound, planted, 1))
    assert any(named.replace("\\", "") in fault for fault in faults), faults


@pytest.mark.parametrize(("english", "chinese", "named"), OTHERS)
def test_a_planted_fault_of_another_kind_is_found(english, chinese, named):
    assert any(named in fault for fault in faults_of(english, chinese))


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ('{{ n }} seed{{ "s" if n != 1 else "" }}', "{{ n }} 个随机种子"),
        ('{% set a = {"k": "no crops"} %}', '{% set a = {"k": "不裁剪"} %}'),
        ("*Attention Is All You Need.* 2017", "*Attention Is All You Need.* 2017"),
        ("**Read it.** The rest.", "**读。** 其余。"),
        ("A training log is kept.", "训练日志会保留。"),
        ("The class token, layer normalization.", "类别词元，层归一化。"),
        ("303 million, 2.4 million and 60,000", "3.03 亿、240 万和 60,000"),
    ],
)
def test_what_is_no_fault_is_none(english, chinese):
    assert faults_of(english, chinese) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_check_finds_a_planted_fault(check):
    planted = [(ENGLISH, CHINESE.replace(sound, fault, 1)) for sound, fault, _ in FAULTS.values()]
    assert any(check(ours, theirs) for ours, theirs in (*planted, *(row[:2] for row in OTHERS)))


def test_the_terms_are_those_of_the_page():
    terms = {noun: rendering for _, noun, rendering in terms_of()}
    assert terms["patch"] == "图像块"
    assert terms["attention map"] == "注意力图"
    assert terms["logits"] == "logits"
    assert terms["key"] == "键"
