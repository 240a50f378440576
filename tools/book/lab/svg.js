/* Drawing with SVG: elements, axes, lines and bars. It knows nothing of what is drawn. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Return an SVG element; the attribute "text" becomes what it holds. */
export function element(name, attributes = {}) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") {
      made.textContent = value;
    } else {
      made.setAttribute(key, typeof value === "number" ? round(value) : value);
    }
  }
  return made;
}

function round(pixels) {
  return Math.round(100 * pixels) / 100;
}

/** An area with axes. Its functions x and y turn values into pixels. */
export class Plot {
  /**
   * Empty a container and put a drawing into it.
   *
   * x and y are axes: { range: [first, last], scale, ticks: [[value, text], ...], label }. The
   * scale is a function of a value, such as Math.log10; without it the axis is linear.
   */
  constructor(container, { height = 240, left = 46, top = 24, bottom = 40, x, y, alt }) {
    this.width = Math.max(container.clientWidth, 220);
    this.isNarrow = this.width < 400;
    this.height = height;
    this.area = { left, right: this.width - 12, top, bottom: height - bottom };
    this.x = pixels(x, this.area.left, this.area.right);
    this.y = pixels(y, this.area.bottom, this.area.top);
    this.svg = element("svg", {
      viewBox: `0 0 ${this.width} ${height}`,
      height,
      role: "img",
      "aria-label": alt,
    });
    this.drawYAxis(y);
    this.drawXAxis(x);
    container.replaceChildren(this.svg);
  }

  add(name, attributes) {
    return this.svg.appendChild(element(name, attributes));
  }

  text(x, y, text, attributes = {}) {
    return this.add("text", { x, y, text, ...attributes });
  }

  drawXAxis({ ticks = [], label = "" }) {
    const { left, right, bottom } = this.area;
    this.add("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" });
    for (const [value, text] of ticks) {
      this.text(this.x(value), bottom + 16, text, { class: "tick", "text-anchor": "middle" });
    }
    const middle = (left + right) / 2;
    this.text(middle, this.height - 6, label, { class: "label", "text-anchor": "middle" });
  }

  drawYAxis({ ticks = [], label = "" }) {
    const { left, right, top, bottom } = this.area;
    for (const [value, text] of ticks) {
      const y = this.y(value);
      this.add("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" });
      this.text(left - 6, y + 4, text, { class: "tick", "text-anchor": "end" });
    }
    const turn = `rotate(-90) translate(${-(top + bottom) / 2} 12)`;
    this.text(0, 0, label, { class: "label", "text-anchor": "middle", transform: turn });
  }

  /** Draw a line through points [x, y], with a marker on each. */
  line(points, style, marker = "none") {
    const places = points.map(([x, y]) => [this.x(x), this.y(y)]);
    const path = places.map((place) => place.join(",")).join(" ");
    this.add("polyline", { points: path, class: style });
    for (const [x, y] of marker === "none" ? [] : places) {
      this.mark(x, y, 2.5, marker, `${style} marker`);
    }
  }

  /** Draw a larger marker at a value. */
  point(x, y, style, marker) {
    this.mark(this.x(x), this.y(y), 5, marker, `${style} marker current`);
  }

  mark(x, y, radius, marker, style) {
    if (marker === "square") {
      const size = 2 * radius;
      this.add("rect", { x: x - radius, y: y - radius, width: size, height: size, class: style });
    } else {
      this.add("circle", { cx: x, cy: y, r: radius, class: style });
    }
  }

  /** Draw a bar from the axis up to a value; the places are values of x. */
  bar(from, to, value, style) {
    const x = this.x(from);
    const y = this.y(value);
    const width = Math.max(this.x(to) - x, 0.5);
    return this.add("rect", { x, y, width, height: this.area.bottom - y, class: style });
  }

  /** Mark a value of x by a line from bottom to top, and name it above. */
  cut(value, style, text = "") {
    const x = this.x(value);
    const { top, bottom } = this.area;
    this.add("line", { x1: x, x2: x, y1: top, y2: bottom, class: style });
    this.text(x, top - 9, text, { class: "name", "text-anchor": "middle" });
  }

  /** Shade what lies between two values of x. */
  shade(from, to, style) {
    const { left, right, top, bottom } = this.area;
    const x = Math.max(this.x(from), left);
    const width = Math.max(Math.min(this.x(to), right) - x, 0);
    this.add("rect", { x, y: top, width, height: bottom - top, class: style });
  }
}

function pixels({ range, scale = (value) => value }, first, last) {
  const [low, high] = range.map(scale);
  return (value) => first + ((scale(value) - low) / (high - low)) * (last - first);
}

/** Return an axis of shares, from 0 to 100 per cent. */
export function shareAxis(label) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => [share, `${100 * share}`]);
  return { range: [0, 1], ticks, label };
}
