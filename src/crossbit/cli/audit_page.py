"""The review page of an audit: one file that needs no network, decided with the keys a, r, j and k.

What comes from the data set is escaped, and a policy in the page forbids it to load or send anything. Decisions stay in the
browser's own storage until they are exported.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from crossbit.data.manifest import Manifest
from crossbit.errors import MediaError
from crossbit.evaluation.suspects import FORMAT, Key, Suspect
from crossbit.media.image import thumbnail

EDGE = 160

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#f4f4f2}
header{position:sticky;top:0;background:#fff;border-bottom:1px solid #ccc;padding:.6rem 1rem;display:flex;gap:1rem;
flex-wrap:wrap;align-items:center}h1{font-size:1.1rem;margin:0}main{padding:1rem;max-width:60rem;margin:auto}
article{background:#fff;border:2px solid #ddd;border-radius:6px;padding:.8rem;margin:0 0 .8rem;display:flex;gap:1rem}
article.here{border-color:#0b5cad}article.reject{background:#fbe9e7}article.accept{background:#e8f3e8}
figure{margin:0;width:160px}figcaption{font-size:.8rem;color:#555}img{max-width:160px;max-height:160px}
.text{flex:1}.caption{font-size:1.15rem;font-weight:600;overflow-wrap:anywhere}.quiet{color:#555;font-size:.85rem}
button{font:inherit;padding:.2rem .7rem}kbd{border:1px solid #aaa;border-radius:3px;padding:0 .3rem;background:#fafafa}
"""

_SCRIPT = """
const data=JSON.parse(document.getElementById('pairs').textContent),store='crossbit-audit-'+data.audit;
let kept={};try{kept=JSON.parse(localStorage.getItem(store)||'{}')}catch(e){}
const name=p=>JSON.stringify([p.item,p.lang,p.place]),made={};
for(const p of data.pairs){const k=name(p);made[k]=k in kept?kept[k]:p.decision}
const cards=[...document.querySelectorAll('article')];let at=0;
function show(){let a=0,r=0;cards.forEach((c,i)=>{const d=made[name(data.pairs[i])];c.className=(d||'')+(i===at?' here':'');
c.querySelector('.state').textContent=d?(d==='reject'?'rejected':'accepted'):'not decided';
if(d==='accept')a++;if(d==='reject')r++});
document.getElementById('count').textContent=a+' accepted, '+r+' rejected of '+cards.length}
function go(i){at=Math.max(0,Math.min(cards.length-1,i));show();
if(cards[at])cards[at].scrollIntoView({block:'center'})}
function decide(i,d){const k=name(data.pairs[i]);made[k]=made[k]===d?'':d;
try{localStorage.setItem(store,JSON.stringify(made))}catch(e){}}
document.addEventListener('keydown',e=>{if(e.ctrlKey||e.metaKey||e.altKey||!cards.length)return;
if(e.key==='j')go(at+1);else if(e.key==='k')go(at-1);
else if(e.key==='a'||e.key==='r'){decide(at,e.key==='a'?'accept':'reject');go(at+1)}});
cards.forEach((c,i)=>c.querySelectorAll('button').forEach(b=>b.addEventListener('click',()=>{decide(i,b.dataset.d);at=i;show()})));
document.getElementById('export').addEventListener('click',()=>{const decisions=data.pairs.filter(p=>made[name(p)])
.map(p=>({item:p.item,lang:p.lang,place:p.place,caption:p.caption,decision:made[name(p)]}));
const blob=new Blob([JSON.stringify({format:data.format,audit:data.audit,decisions},null,1)],{type:'application/json'});
const link=document.createElement('a');link.href=URL.createObjectURL(blob);link.download='decisions.json';link.click()});
show();
"""


def write_page(
    suspects: Sequence[Suspect], manifest: Manifest, fingerprint: str, decisions: Mapping[Key, str], path: Path
) -> Path:
    """Write the review page, whole or not at all.

    Args:
        suspects: the pairs on it, in their order.
        manifest: that their media belong to.
        fingerprint: of the audit, which the exported decisions carry.
        decisions: what has been decided already.
        path: the file.
    """
    files = {item.id: manifest.file(item) for item in manifest}
    pictures: dict[str, str] = {}
    cards = [_card(number, suspect, files, pictures) for number, suspect in enumerate(suspects, start=1)]
    record = {
        "format": FORMAT,
        "audit": fingerprint,
        "pairs": [
            {
                "item": s.item,
                "lang": s.lang,
                "place": s.place,
                "caption": s.caption,
                "decision": decisions.get(s.key, ""),
            }
            for s in suspects
        ],
    }
    # inside a script nothing may look like its end or like a comment
    data = json.dumps(record, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    title = escape(f"Audit of {manifest.name}")
    text = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        "</head>\n<body>\n"
        f'<header><h1>{title}</h1><span id="count"></span><span class="quiet"><kbd>j</kbd> next <kbd>k</kbd> back '
        "<kbd>a</kbd> accept: the pair is right <kbd>r</kbd> reject: it is wrong</span>"
        '<button id="export">Export decisions</button></header>\n<main>\n'
        + "\n".join(cards)
        + f'\n</main>\n<script type="application/json" id="pairs">{data}</script>\n<script>{_SCRIPT}</script>\n'
        + "</body>\n</html>\n"
    )
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _card(number: int, suspect: Suspect, files: Mapping[str, Path], pictures: dict[str, str]) -> str:
    """Write one pair: the picture, its caption, what would fit better."""
    kind = f", {suspect.kind}" if suspect.kind else ""
    lines = [
        f'<p class="caption" lang="{escape(suspect.lang)}">{escape(suspect.caption)}</p>',
        f'<p class="quiet">{number}. wrong with probability {suspect.probability:.2f}{kind} · '
        f'{escape(suspect.item)} · <span class="state"></span></p>',
    ]
    if suspect.better_caption:
        lines.append(f"<p>The picture would fit better: <em>{escape(suspect.better_caption)}</em></p>")
    lines.append('<button data-d="accept">accept</button> <button data-d="reject">reject</button>')
    mine = _figure(suspect.item, suspect.item, files, pictures)
    other = (
        _figure(suspect.better_item, "the caption would fit this better", files, pictures)
        if suspect.better_item
        else ""
    )
    return f'<article>{mine}<div class="text">{"".join(lines)}</div>{other}</article>'


def _figure(item: str, words: str, files: Mapping[str, Path], pictures: dict[str, str]) -> str:
    if item not in pictures:
        try:
            pictures[item] = base64.b64encode(thumbnail(files[item], EDGE)).decode("ascii")
        except MediaError:  # it is named on the page, so that it is not missing without a word
            pictures[item] = ""
    shown = f'<img alt="" src="data:image/webp;base64,{pictures[item]}">' if pictures[item] else "cannot be shown"
    return f"<figure>{shown}<figcaption>{escape(words)}</figcaption></figure>"
