"""Charts are well-formed, and say so when there is nothing to draw."""

from xml.etree import ElementTree

from infra.demo.pictures import Line, interval_chart, line_chart


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text[: text.index("</svg>") + len("</svg>")])


def test_a_line_chart_has_a_line_for_each_series_and_a_mark() -> None:
    lines = [Line("a <b>", [(0, 0), (1, 2)]), Line("c", [(0, 1), (1, 1)], dashed=True)]

    drawn = svg(line_chart(lines, "x", "y", [(0.5, "alarm")]))

    assert len(drawn.findall("polyline")) == 2
    assert any(text.text == "alarm" for text in drawn.findall("text"))


def test_an_interval_chart_has_a_row_for_each_estimate() -> None:
    drawn = svg(interval_chart([("first", -0.6, -0.7, -0.5), ("second", 0.2, 0.1, 0.3)], "nats"))

    assert len(drawn.findall("circle")) == 2


def test_nothing_to_draw_is_said() -> None:
    assert "nothing to draw" in line_chart([], "x", "y")
    assert "nothing to draw" in interval_chart([], "nats")
