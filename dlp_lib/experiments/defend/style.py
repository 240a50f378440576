"""The style of the page: light or dark as the reader's system is, narrow or wide."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1b1f; --quiet: #5a5a66; --edge: #d5d5dd; --card: #f5f5f8;
  --bar: #7a7a88; --suspected: #b34700; --trusted: #00639c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15151a; --text: #ececf1; --quiet: #a9a9b6; --edge: #3a3a45; --card: #202027;
    --bar: #8d8d9c; --suspected: #ff9a52; --trusted: #6cc0f5;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-top: 1px solid var(--edge);
  padding-top: 1rem; }
p, li { max-width: 44rem; }
li { margin: .3rem 0; }
bdi, .settings code { overflow-wrap: anywhere; }
code { white-space: nowrap; }
.settings code { white-space: normal; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.figures div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
.figures dt { color: var(--quiet); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.alarm { color: var(--suspected); }
.calm { color: var(--trusted); }
figure { margin: 0; }
.histogram { width: 100%; max-width: 44rem; height: auto; display: block; }
.histogram text { fill: var(--quiet); font-size: 13px; }
.histogram .bar { fill: var(--bar); }
.histogram .grid { stroke: var(--edge); }
.histogram .cut-suspected { stroke: var(--suspected); stroke-width: 2; stroke-dasharray: 7 5; }
.histogram .cut-trusted { stroke: var(--trusted); stroke-width: 2; stroke-dasharray: 2 4; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: 0;
  margin: .3rem 0; }
.legend li { margin: 0; }
.legend li::before { content: ""; display: inline-block; width: 1.8rem; margin-right: .5rem;
  vertical-align: .25em; }
.legend .cut-suspected::before { border-top: 2px dashed var(--suspected); }
.legend .cut-trusted::before { border-top: 2px dotted var(--trusted); }
.gallery { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.gallery li { margin: 0; background: var(--card); border-radius: .5rem; padding: .5rem; }
.gallery img { width: 100%; height: auto; display: block; image-rendering: pixelated; }
.gallery p { margin: .4rem 0 0; font-size: .85rem; line-height: 1.35; }
.gallery .file { overflow-wrap: anywhere; }
.means { grid-template-columns: repeat(2, minmax(0, 11rem)); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--edge);
  vertical-align: top; }
th:first-child, .words th, .words td:last-child { text-align: left; }
tbody th { font-weight: 600; }
table bdi { overflow-wrap: break-word; }
thead th { color: var(--quiet); font-weight: 400; }
.settings { columns: 15rem; padding-left: 1.2rem; }
summary { cursor: pointer; margin: 1rem 0 .4rem; }
@media (max-width: 30rem) {
  .gallery { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  table { font-size: .85rem; }
  th, td { padding: .3rem .35rem; }
  thead th { font-size: .75rem; }
  .histogram text { font-size: 20px; }
}
"""
