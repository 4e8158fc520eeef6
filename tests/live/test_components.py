"""The components as a reader uses them: by mouse and by keyboard, and when something fails."""

import base64
from io import BytesIO

import pytest
from PIL import Image

from website import ROOT

COLORS = ((220, 30, 40), (20, 60, 200))


def png(color):
    """A picture of one pixel, as an address."""
    buffer = BytesIO()
    Image.new("RGB", (1, 1), color).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


OFFERED = "".join(
    f'<img data-offered alt="A picture of {name}" src="{png(color)}" width="1">'
    for name, color in zip(("red", "blue"), COLORS, strict=True)
)
ANSWER = f'<vit-answer address><p id="figure">The figure</p>{OFFERED}</vit-answer>'
RECEIPT = '<vit-receipt><p id="stored">Stored</p></vit-receipt>'
LIVE = "vit-answer[data-state=live]"
FAILED = "vit-answer[data-state=failed]"
SAID = "vit-answer .live-said"
TEXT = "document.querySelector('.live-said').textContent"
SLOW = 90_000  # ms; the machine may be busy


def begun(page, place, elements=ANSWER):
    page.set_default_timeout(SLOW)
    page.goto(place.page(elements))
    page.get_by_role("button", name="Try it").click()
    page.locator(LIVE).wait_for()
    page.locator(f"{SAID}:not(:empty)").wait_for()
    return page


def pressed(page, name):
    return page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true"


def cat():
    content = (ROOT / "docs/assets/images/cat.jpg").read_bytes()
    return {"name": "secret.jpg", "mimeType": "image/jpeg", "buffer": content}


def test_nothing_is_loaded_before_a_reader_asks(page, place):
    page.goto(place.page(ANSWER))
    page.get_by_role("button", name="Try it").wait_for()
    page.wait_for_load_state("networkidle")
    assert page.locator("#figure").is_visible()
    assert not [
        name for name in place.asked if "worker" in name or "wasm" in name or "onnx" in name
    ]


def test_answer_by_mouse(page, place):
    begun(page, place)
    assert not page.locator("#figure").is_visible()
    assert page.locator(".live-bars li").count() == 10
    shares = [float(text.split()[0]) for text in page.locator(".live-percent").all_inner_texts()]
    assert sum(shares) == pytest.approx(100, abs=0.6)
    first = page.locator(SAID).inner_text()
    page.get_by_role("button", name="A picture of blue").click()
    page.wait_for_function(
        "said => document.querySelector('.live-said').textContent !== said", arg=first
    )
    assert "picture=1" in page.url
    page.get_by_label("Your own picture").or_(
        page.locator("input[type=file]")
    ).last.set_input_files(cat())
    page.wait_for_function("!location.search.includes('picture')")
    page.get_by_role("button", name="Shuffle the patches").click()
    moved = page.get_by_text("Largest change of a logit")
    moved.wait_for()
    assert float(moved.inner_text().rsplit(" ", 1)[1]) > 0.01
    page.get_by_label("Positions").uncheck()
    page.wait_for_function("location.search === '?positions=off&shuffle=1'")
    assert float(moved.inner_text().rsplit(" ", 1)[1]) < 1e-4
    page.get_by_role("button", name="Back in order").click()
    page.get_by_text("The patches are in order.").wait_for()
    assert "secret" not in page.content()
    assert not any("jpg" in name for name in place.asked)


def test_answer_by_keyboard_and_the_picture_follows(page, place):
    page.set_default_timeout(SLOW)
    address = place.page(ANSWER)
    page.goto(address)
    page.get_by_role("button", name="Try it").focus()
    page.keyboard.press("Enter")
    page.locator(f"{SAID}:not(:empty)").wait_for()
    assert page.evaluate("document.activeElement.className") == "live"
    page.locator("input[type=file]").set_input_files(cat())
    page.wait_for_function("!location.search.includes('picture')")
    page.get_by_label("Positions").focus()
    page.keyboard.press("Space")
    page.wait_for_function("location.search === '?positions=off'")
    said = page.locator(SAID).inner_text().split(", in")[0]

    begun(page, place)  # another page: the same picture, and the runtime is there already
    assert pressed(page, "Your own picture")
    page.get_by_label("Positions").uncheck()
    page.wait_for_function(
        "said => document.querySelector('.live-said').textContent.startsWith(said)", arg=said
    )
    assert sum("wasm" in name for name in place.asked) == 1
    page.get_by_role("button", name="Forget it").click()
    page.get_by_role("button", name="A picture of red", pressed=True).wait_for()
    begun(page, place)
    assert pressed(page, "A picture of red")


def test_a_link_opens_what_it_was_made_of(page, place):
    page.set_default_timeout(SLOW)
    page.goto(place.page(ANSWER) + "?picture=1&positions=off&shuffle=7")
    page.get_by_role("button", name="Try it").click()
    page.locator(f"{SAID}:not(:empty)").wait_for()
    assert pressed(page, "A picture of blue")
    assert not page.get_by_label("Positions").is_checked()
    assert page.get_by_text("Largest change of a logit").is_visible()
    assert page.url.endswith("?picture=1&positions=off&shuffle=7")


def test_a_dropped_file_that_is_no_picture_is_named_and_the_answer_stays(page, place):
    begun(page, place)
    said = page.locator(SAID).inner_text()
    drop = """text => {
      const files = new DataTransfer();
      files.items.add(new File([text], "holiday.jpg", {type: "image/jpeg"}));
      document.querySelector("vit-answer").dispatchEvent(
        new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, "A letter, renamed")
    page.get_by_role("alert").filter(has_text="This is no picture").wait_for()
    assert page.locator(SAID).inner_text() == said
    page.get_by_role("button", name="A picture of blue").click()
    page.locator(".live-fault:empty").wait_for(state="attached")


def test_without_a_network_it_says_so_and_can_be_tried_again(page, place):
    page.set_default_timeout(SLOW)
    place.refused = ("onnx",)
    page.goto(place.page(ANSWER))
    page.get_by_role("button", name="Try it").click()
    page.locator(FAILED).wait_for()
    assert "could not be loaded" in page.get_by_role("alert").inner_text()
    assert page.locator("#figure").is_visible()
    place.refused = ()
    page.get_by_role("button", name="Try again").click()
    page.locator(LIVE).wait_for()


def test_what_was_loaded_once_works_without_a_network(page, place):
    begun(page, place)
    place.refused = ("wasm", "onnx")
    begun(page, place)


def test_without_webassembly_it_says_so(page, place):
    page.add_init_script("delete window.WebAssembly")
    page.goto(place.page(ANSWER))
    page.get_by_role("button", name="Try it").click()
    page.locator(FAILED).wait_for()
    assert "WebAssembly" in page.get_by_role("alert").inner_text()
    assert page.locator("#figure").is_visible()


def test_print_shows_the_figure(page, place):
    begun(page, place)
    page.emulate_media(media="print")
    assert page.locator("#figure").is_visible()
    assert not page.locator(".live").first.is_visible()


def test_receipt(page, place):
    page.set_default_timeout(SLOW)
    page.goto(place.page(RECEIPT))
    page.get_by_role("button", name="Run the test pictures").click()
    rows = page.locator("vit-receipt dd")
    rows.first.wait_for()
    apart, largest, same, _ = rows.all_inner_texts()
    assert float(apart) < 1e-4
    assert float(largest) > 1
    assert same == "200 / 200"


@pytest.mark.parametrize("script", ["answer", "receipt"])
def test_a_page_narrow_as_a_phone_is_not_wider(page, place, script):
    page.set_viewport_size({"width": 360, "height": 700})
    begun(page, place) if script == "answer" else test_receipt(page, place)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
