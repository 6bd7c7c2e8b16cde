# SPDX-License-Identifier: ISC
"""Graphs as SVG, without any library: grouped bars, horizontal bars of ratios, panels of lines.

Readable on a light and on a dark page: the colours follow the reader's scheme.  Every mark has its
figure as a tooltip.
"""

import html
import math

WIDTH = 960
FONT = 13
SMALL = 11
COLOURS = ["#1f77b4", "#e08214", "#2a9d5c", "#9467bd", "#8c8c8c", "#c0392b"]
DARK = ["#6baed6", "#f4a653", "#62c48d", "#b79adb", "#a8a8a8", "#e57373"]
STYLE = """\
<style>
svg { background: #ffffff; }
text { font-family: system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #222222; }
.page { fill: #ffffff; } .soft { fill: #666666; }
.grid { stroke: #d8d8d8; stroke-width: 1; } .axis { stroke: #555555; stroke-width: 1; }
.aim { stroke: #222222; stroke-width: 2; }
%s
@media (prefers-color-scheme: dark) {
svg { background: #15181c; }
text { fill: #e4e4e4; } .page { fill: #15181c; } .soft { fill: #a5a5a5; }
.grid { stroke: #363b42; } .axis { stroke: #9a9a9a; } .aim { stroke: #f0f0f0; }
%s
}
</style>"""


def style():
    def classes(colours):
        return "\n".join(f".f{i} {{ fill: {c}; }} .s{i} {{ stroke: {c}; fill: none; stroke-width: 2.5; }}"
                         for i, c in enumerate(colours))
    return STYLE % (classes(COLOURS), classes(DARK))


def short(value):
    """A figure of about three digits, with k and M."""
    if value is None:
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


class Drawing:
    """Collects elements; the legend and the title come first."""

    def __init__(self, title, names, height, width=WIDTH):
        self.width, self.height, self.parts = width, height, []
        self.text(16, 26, title, size=FONT + 3, weight="bold")
        at = 16
        for index, name in enumerate(names):
            self.box(at, 40, 12, 12, index, name)
            self.text(at + 17, 51, name)
            at += 34 + 7.4 * len(name)

    def add(self, element):
        self.parts.append(element)

    def text(self, x, y, text, anchor="start", size=FONT, weight="normal", soft=False, turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        kind = ' class="soft"' if soft else ""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
                 f'text-anchor="{anchor}"{kind}{turned}>{html.escape(text)}</text>')

    def line(self, x1, y1, x2, y2, kind="grid"):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def box(self, x, y, width, height, index, tip):
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}" '
                 f'class="f{index}"><title>{html.escape(tip)}</title></rect>')

    def dot(self, x, y, index, tip):
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="f{index}">'
                 f'<title>{html.escape(tip)}</title></circle>')

    def path(self, points, index):
        steps = " L ".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.add(f'<path d="M {steps}" class="s{index}"/>')

    def svg(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">')
        page = f'<rect class="page" width="{self.width}" height="{self.height}"/>'
        return "\n".join([head, style(), page, *self.parts, "</svg>"]) + "\n"


class Scale:
    """Maps values to a stretch of the page, linear from 0 or logarithmic."""

    def __init__(self, values, start, end, log):
        known = [v for v in values if v is not None and (v > 0 or not log)] or [1]
        self.start, self.end, self.log = start, end, log
        if log:
            self.low = 10 ** math.floor(math.log10(min(known)))
            self.high = 10 ** math.ceil(math.log10(max(known) * 1.001))
        else:
            self.low, self.step = 0, nice_step(max(known))
            self.high = math.ceil(max(known) * 1.02 / self.step) * self.step

    def __call__(self, value):
        if self.log:
            part = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            part = value / self.high
        return self.start + (self.end - self.start) * min(max(part, 0), 1)

    def ticks(self):
        if not self.log:
            return [self.step * i for i in range(round(self.high / self.step) + 1)]
        decades = round(math.log10(self.high / self.low))
        return [self.low * 10 ** i for i in range(decades + 1)]


def nice_step(highest):
    rough = max(highest, 1e-9) / 5
    unit = 10 ** math.floor(math.log10(rough))
    return next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough)


def draw_y_axis(drawing, scale, left, right, unit):
    for tick in scale.ticks():
        drawing.line(left, scale(tick), right, scale(tick), "axis" if tick == scale.low else "grid")
        drawing.text(left - 8, scale(tick) + 4, short(tick), "end", SMALL, soft=True)
    drawing.text(left, min(scale.start, scale.end) - 10, unit, "start", SMALL, soft=True)


def bars(title, unit, groups, series, log=False):
    """series: [(name, [a value or None per group])].  A group's label may have two lines."""
    drawing = Drawing(title, [name for name, _ in series], 420)
    left, right, top, bottom = 64, WIDTH - 16, 92, 360
    scale = Scale([v for _, values in series for v in values], bottom, top, log)
    draw_y_axis(drawing, scale, left, right, unit + (", logarithmic" if log else ""))
    room = (right - left) / max(len(groups), 1)
    width = min(room * 0.8 / len(series), 46)
    labelled = width >= 34
    for at, group in enumerate(groups):
        middle = left + room * (at + 0.5)
        for index, (name, values) in enumerate(series):
            if values[at] is None:
                continue
            x = middle + (index - len(series) / 2) * width
            y = scale(values[at])
            tip = f"{name}, {' '.join(group.split(chr(10)))}: {short(values[at])} {unit}"
            drawing.box(x + 1, y, width - 2, bottom - y, index, tip)
            if labelled:
                drawing.text(x + width / 2, y - 4, short(values[at]), "middle", SMALL)
        for line, text in enumerate(filter(None, group.split("\n"))):
            drawing.text(middle, bottom + 18 + 16 * line, text, "middle", SMALL)
    return drawing.svg()


def ratios(title, rows, names):
    """rows: [(text, [a ratio or None per name], aim or None)]; 1 is even, to the right is better."""
    row_height, left, right, top = 15 * len(names) + 10, 430, WIDTH - 60, 92
    bottom = top + row_height * len(rows)
    drawing = Drawing(title, names, bottom + 40)
    known = [v for _, values, aim in rows for v in (*values, aim, 1, 10) if v]
    scale = Scale(known, left, right, True)
    for tick in scale.ticks():
        drawing.line(scale(tick), top, scale(tick), bottom, "axis" if tick == 1 else "grid")
        drawing.text(scale(tick), bottom + 18, f"{tick:g} times", "middle", SMALL, soft=True)
    drawing.text(left, top - 12, "times better than it, logarithmic; a stroke marks the aim", "start",
                 SMALL, soft=True)
    for at, (text, values, aim) in enumerate(rows):
        y = top + row_height * at + 5
        drawing.text(left - 10, y + row_height / 2, text, "end", SMALL)
        for index, value in enumerate(values):
            if not value:
                continue
            x1, x2 = sorted((scale(1), scale(value)))
            tip = f"{text}: {value:.3g} times better than {names[index]}"
            drawing.box(x1, y + 15 * index, max(x2 - x1, 1), 13, index, tip)
            drawing.text(x2 + 4, y + 15 * index + 11, f"{value:.3g}", "start", SMALL)
        if aim:
            drawing.line(scale(aim), y - 2, scale(aim), y + row_height - 8, "aim")
    return drawing.svg()


def panels(title, labels, parts):
    """Lines beside each other over the same labels; parts: [(unit, [(name, values)])], from 0."""
    names = [name for _, series in parts for name, _ in series]
    drawing = Drawing(title, names, 380)
    room, index = WIDTH / len(parts), 0
    for number, (unit, series) in enumerate(parts):
        left, right = room * number + 64, room * (number + 1) - 24
        scale = Scale([v for _, values in series for v in values], 330, 92, False)
        draw_y_axis(drawing, scale, left, right, unit)
        step = (right - left) / max(len(labels) - 1, 1)
        for at, label in enumerate(labels):
            drawing.text(left + step * at, 350, label, "middle", SMALL)
        for name, values in series:
            points = [(left + step * i, scale(v)) for i, v in enumerate(values) if v is not None]
            drawing.path(points, index)
            for i, value in enumerate(values):
                if value is not None:
                    drawing.dot(left + step * i, scale(value), index,
                                f"{name}, {labels[i]}: {short(value)} {unit}")
            index += 1
    return drawing.svg()
