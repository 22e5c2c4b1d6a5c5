"""The look: colours as variables for both themes, and the few classes of the page."""

from typing import Final

from services.console.domain.view import Tone

FONT: Final = "Inter, Roboto, system-ui, sans-serif"
ACCENT: Final = "#0d9488"
ROLE_COLOURS: Final = {"champion": "#0d9488", "canary": "#d97706", "shadow": "#6366f1"}

_LIGHT: Final = """
  --bg:#f1f5f9; --card:#ffffff; --line:#e2e8f0; --text:#0f172a; --soft:#64748b; --head:#ffffff;
  --good:#0f766e; --good-bg:#ccfbf1; --busy:#4338ca; --busy-bg:#e0e7ff; --warn:#b45309;
  --warn-bg:#fef3c7; --bad:#b91c1c; --bad-bg:#fee2e2; --calm:#64748b; --calm-bg:#f1f5f9;
"""
_DARK: Final = """
  --bg:#0b1220; --card:#131c2e; --line:#26334a; --text:#f1f5f9; --soft:#94a3b8; --head:#0f1829;
  --good:#5eead4; --good-bg:#134e4a; --busy:#a5b4fc; --busy-bg:#312e81; --warn:#fcd34d;
  --warn-bg:#57350b; --bad:#fca5a5; --bad-bg:#5f1d1d; --calm:#94a3b8; --calm-bg:#1e293b;
"""

CSS: Final = f"""
:root {{ {_LIGHT} }}
.body--dark {{ {_DARK} }}
body {{ background:var(--bg) !important; color:var(--text); font-family:{FONT};
  -webkit-font-smoothing:antialiased }}
.nicegui-content {{ padding:0; gap:0; width:100% }}
.p-head {{ position:sticky; top:0; z-index:10; width:100%; background:var(--head);
  border-bottom:1px solid var(--line); padding:10px 24px; display:flex; align-items:center;
  gap:14px; flex-wrap:wrap }}
.p-head h1 {{ font-size:18px; font-weight:700; line-height:1.2; margin:0; letter-spacing:-.01em }}
.p-nav {{ display:flex; gap:4px; margin-left:10px }}
.p-nav a {{ padding:5px 12px; border-radius:8px; font-size:13px; font-weight:600;
  color:var(--soft); text-decoration:none }}
.p-nav a:hover {{ background:var(--calm-bg) }}
.p-nav a.p-here {{ background:var(--good-bg); color:var(--good) }}
.p-choose {{ min-width:190px }}
.p-main {{ width:100%; max-width:1500px; margin:0 auto; padding:20px 24px 40px;
  display:grid; grid-template-columns:repeat(12, minmax(0, 1fr)); gap:16px }}
.p-card {{ background:var(--card); border:1px solid var(--line); border-radius:14px;
  padding:16px 18px; min-width:0 }}
.p-card h2 {{ font-size:14px; font-weight:650; line-height:1.4; margin:0; letter-spacing:-.005em }}
.p-soft {{ color:var(--soft); font-size:12.5px; line-height:1.45 }}
.p-mono {{ font-family:"JetBrains Mono", ui-monospace, Menlo, Consolas, monospace;
  font-size:12px; letter-spacing:-.01em; overflow-wrap:anywhere }}
.p-tiles {{ grid-column:1/-1; display:grid; gap:16px;
  grid-template-columns:repeat(auto-fit, minmax(210px, 1fr)) }}
.p-tile {{ border-left:4px solid var(--tone) }}
.p-value {{ font-size:26px; font-weight:700; line-height:1.25; letter-spacing:-.02em;
  font-variant-numeric:tabular-nums }}
.p-chip {{ display:inline-flex; align-items:center; gap:6px; padding:2px 10px; font-size:12px;
  border-radius:999px; font-weight:600; color:var(--tone); background:var(--tone-bg);
  white-space:nowrap }}
.p-dot {{ width:9px; height:9px; border-radius:50%; background:var(--tone); flex:none }}
.p-way {{ display:flex; align-items:flex-start; width:100%; margin-top:14px; overflow-x:auto }}
.p-stage {{ flex:1 0 88px; display:flex; flex-direction:column; align-items:center; gap:6px;
  position:relative; text-align:center; font-size:12px; color:var(--soft) }}
.p-stage::before {{ content:""; position:absolute; top:12px; right:50%; width:100%; height:3px;
  background:var(--line) }}
.p-stage:first-child::before {{ display:none }}
.p-stage.p-reached::before {{ background:var(--tone) }}
.p-bead {{ z-index:1; width:27px; height:27px; border-radius:50%; display:grid;
  place-items:center; background:var(--tone-bg); color:var(--tone); font-weight:700;
  border:2px solid var(--tone); font-size:13px }}
.p-stage.p-now {{ color:var(--text); font-weight:650 }}
.p-stage.p-now .p-bead {{ animation:p-pulse 1.8s ease-in-out infinite }}
@keyframes p-pulse {{ 50% {{ box-shadow:0 0 0 6px var(--tone-bg) }} }}
@media (prefers-reduced-motion: reduce) {{ .p-stage.p-now .p-bead {{ animation:none }} }}
.p-bar {{ display:flex; width:100%; height:14px; border-radius:7px; overflow:hidden;
  background:var(--calm-bg); margin:12px 0 10px }}
.p-row {{ display:flex; align-items:center; gap:10px; width:100%; padding:6px 0;
  border-top:1px solid var(--line); font-size:13px; min-width:0 }}
.p-services {{ display:grid; margin-top:8px; column-gap:28px; width:100%;
  grid-template-columns:repeat(auto-fill, minmax(300px, 1fr)) }}
.p-services .p-row {{ border-top:0 }}
.p-part {{ flex-wrap:wrap; white-space:nowrap }}
.p-part .p-soft {{ white-space:normal }}
.p-share {{ margin-left:auto }}
.p-row:first-of-type {{ border-top:0 }}
.p-moment {{ position:relative; padding:0 0 16px 22px; border-left:2px solid var(--line);
  margin-left:7px; width:100% }}
.p-moment:last-child {{ border-left-color:transparent; padding-bottom:0 }}
.p-moment > .p-dot {{ position:absolute; left:-6px; top:5px; outline:3px solid var(--card) }}
.p-fig {{ background:var(--calm-bg); border-radius:7px; padding:1px 8px; font-size:12px;
  font-variant-numeric:tabular-nums }}
.p-away {{ display:flex; gap:8px; align-items:center; color:var(--bad); background:var(--bad-bg);
  border-radius:9px; padding:6px 12px; font-size:12.5px; margin-top:10px; width:100% }}
.p-none {{ color:var(--soft); font-size:13px; padding:26px 0; text-align:center; width:100% }}
.p-reference {{ display:grid; grid-template-columns:1fr auto; gap:4px 12px; text-align:left;
  max-width:420px; margin:14px auto 0 }}
.p-reference .p-level {{ grid-column:1/-1 }}
.p-level {{ height:6px; border-radius:3px; background:var(--calm-bg); min-width:90px }}
.p-level > div {{ height:6px; border-radius:3px; background:var(--tone) }}
.p-pair {{ display:grid; grid-template-columns:1fr 1fr; gap:14px; margin-top:8px; width:100% }}
.p-quote {{ font-size:12.5px; padding:3px 0 3px 10px; border-left:2px solid var(--line);
  margin-top:4px; overflow-wrap:anywhere }}
.p-line {{ display:flex; gap:8px; align-items:center; flex-wrap:wrap }}
.p-alarm {{ border-top:1px solid var(--line); padding:12px 0; width:100% }}
.p-alarm:first-child {{ border-top:0 }}
.p-scroll {{ max-height:600px; overflow:auto; width:100%; margin-top:12px;
  padding-right:6px }}
.p-table {{ width:100%; border-collapse:collapse; font-size:13px; margin-top:8px }}
.p-table th {{ text-align:left; color:var(--soft); font-weight:600; font-size:12px;
  padding:6px 8px; border-bottom:1px solid var(--line) }}
.p-table td {{ padding:6px 8px; border-bottom:1px solid var(--line) }}
.p-table tr:last-child td {{ border-bottom:0 }}
.p-table .p-num {{ text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }}
.p-table td.p-mono {{ white-space:nowrap }}
.p-quiet td {{ color:var(--soft) }}
@media (max-width:1100px) {{ .p-main > * {{ grid-column:1/-1 !important }} }}
@media (max-width:880px) {{
  .p-way {{ flex-direction:column }}
  .p-stage {{ flex:none; flex-direction:row; gap:10px; padding:4px 0; text-align:left }}
  .p-stage::before {{ top:-50%; right:auto; left:12px; width:3px; height:100% }}
}}
@media (max-width:600px) {{
  .p-head {{ padding:8px 12px; gap:8px }}
  .p-choose {{ flex:1; min-width:0 }}
  .p-main {{ padding:12px 12px 32px; gap:12px }}
  .p-tiles {{ grid-template-columns:1fr 1fr; gap:12px }}
  .p-value {{ font-size:20px }}
  .p-wide {{ display:none }}
  .p-table th.p-num, .p-table td.p-mono:first-child {{ white-space:normal }}
}}
"""


def tone_style(tone: Tone) -> str:
    """The colours of ``tone`` as the variables that the classes use."""
    return f"--tone:var(--{tone.value});--tone-bg:var(--{tone.value}-bg)"
