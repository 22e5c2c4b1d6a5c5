"""The login, and the page of what is not there: self-contained, no script, both themes."""

from html import escape
from string import Template
from typing import Final

LOGO: Final = (
    '<svg viewBox="0 0 32 32" width="34" height="34" fill="none" aria-hidden="true">'
    '<path d="M16 4a12 12 0 1 1-11.3 8" stroke="#14b8a6" stroke-width="3.4"'
    ' stroke-linecap="round"/><path d="M2.6 13.4 4.9 6.6l5.6 4.2z" fill="#14b8a6"/>'
    '<path d="M16 21.5v-7m0 2.6c0-3.4 2.3-5.2 5.6-5.3.1 3.6-2 5.6-5.6 5.3Zm0 2c0-2.6-1.7-4-4.3'
    '-4.1-.1 2.8 1.5 4.3 4.3 4.1Z" stroke="#6366f1" stroke-width="1.9" stroke-linejoin="round"/>'
    "</svg>"
)

_PAGE: Final = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Perennial · $title</title>
<style>
:root { color-scheme: light dark; --bg:#f1f5f9; --card:#fff; --text:#0f172a; --soft:#64748b;
  --line:#cbd5e1; --accent:#0f766e; --bad:#dc2626 }
@media (prefers-color-scheme: dark) { :root { --bg:#0b1220; --card:#131c2e; --text:#f1f5f9;
  --soft:#94a3b8; --line:#334155; --accent:#0d9488; --bad:#f87171 } }
* { box-sizing: border-box }
body { margin:0; min-height:100vh; display:grid; place-items:center; background:var(--bg);
  color:var(--text); font:15px/1.5 Inter, Roboto, system-ui, sans-serif }
main { width:min(420px, 92vw); background:var(--card); border:1px solid var(--line);
  border-radius:16px; padding:32px; box-shadow:0 12px 40px #0f172a14 }
header { display:flex; gap:12px; align-items:center; margin-bottom:20px }
h1 { font-size:20px; margin:0; letter-spacing:-.01em }
p { margin:0; color:var(--soft); font-size:13px }
label { display:block; font-size:13px; font-weight:600; margin-bottom:6px }
input { width:100%; padding:11px 12px; font:inherit; color:inherit; background:transparent;
  border:1px solid var(--line); border-radius:10px }
button, a { display:block; width:100%; margin-top:16px; padding:11px; font:inherit;
  font-weight:600; color:#fff; background:var(--accent); border:0; border-radius:10px;
  cursor:pointer; text-align:center; text-decoration:none }
:focus-visible { outline:2px solid var(--accent); outline-offset:2px }
#where { margin-top:8px }
code { font:12px ui-monospace, Menlo, Consolas, monospace; overflow-wrap:anywhere }
.bad { color:var(--bad); margin-top:10px; min-height:1.5em }
</style></head><body>
<main>
<header>$logo<div><h1>Perennial</h1><p>Keeps a language model in production good.</p></div></header>
$body
</main></body></html>
""")

_LOGIN: Final = Template("""<form method="post" action="/login">
<label for="token">Operator token</label>
<input id="token" name="token" type="password" autocomplete="current-password"
  aria-describedby="where" autofocus required>
<p id="where">What the console was started with as <code>PERENNIAL_OPERATOR_TOKEN</code>;
after <code>make up</code>, the <code>operator_token</code> in
<code>.perennial/credentials.json</code>.</p>
<button>Log in</button>
<p class="bad" role="alert">$problem</p>
</form>""")

_NOT_FOUND: Final = Template("""<p>There is no page <code>$path</code>.</p>
<a href="/">Back to the loop</a>""")


def login_page(problem: str = "") -> str:
    body = _LOGIN.substitute(problem=escape(problem))
    return _PAGE.substitute(title="Log in", logo=LOGO, body=body)


def not_found_page(path: str) -> str:
    body = _NOT_FOUND.substitute(path=escape(path))
    return _PAGE.substitute(title="Not found", logo=LOGO, body=body)
