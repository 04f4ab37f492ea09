"""The pages of the site: those of docs/ and what they link to, at the place it has in the tree."""

import base64
import json
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Take pages by their path in the tree, so that the links between them hold as they stand."""
    for file in files.documentation_pages():
        files.remove(file)
    waiting = [Path(path) for path in _paths(config.nav)] + [Path(p) for p in config.extra_css]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).is_file():
            continue
        seen.add(path)
        text = (ROOT / path).read_text() if path.suffix in {".md", ".ipynb"} else ""
        if path.suffix == ".ipynb":
            text = _cells(text)
            files.append(File.generated(config, f"{path.with_suffix('.md')}", content=text))
        else:
            files.append(File(str(path), str(ROOT), config.site_dir, config.use_directory_urls))
        waiting += [_target(path, link[3]) for link in LINK.finditer(text) if ":" not in link[3]]
    config.nav = json.loads(json.dumps(config.nav).replace(".ipynb", ".md"))
    return files


def on_page_markdown(markdown, page, **_):
    """Links to notebooks lead to their pages, and links to folders are plain text."""

    def linked(link):
        target = _target(Path(page.file.src_uri), link[3])
        if (ROOT / target).is_dir() and ":" not in link[3]:
            return link[2]
        return link[0].replace(".ipynb", ".md") if ":" not in link[3] else link[0]

    return LINK.sub(linked, markdown)


def on_page_content(html, **_):
    """Docstrings end with two colons where code follows; one is shown."""
    return html.replace("::</p>", ":</p>")


def _target(page: Path, link: str) -> Path:
    return Path(os.path.normpath(page.parent / link))


def _paths(nav):
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [value] if isinstance(value, str) else _paths(value)


def _cells(text: str) -> str:
    """Give a notebook's cells and outputs as Markdown."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                png = base64.b64encode(base64.b64decode(data["image/png"])).decode()
                parts.append(f'<img alt="output" src="data:image/png;base64,{png}">')
            elif "text/html" in data:
                table = "".join(data["text/html"])
                parts.append(table.replace(' border="1" class="dataframe"', ""))
            else:
                plain = "".join(output.get("text", data.get("text/plain", "")))
                parts.append(f"```text\n{plain.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
