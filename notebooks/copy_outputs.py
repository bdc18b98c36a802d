"""Copy code and outputs of each English notebook into its Chinese version.

Run it after an English notebook was executed: the Chinese one is never executed itself.
"""

from __future__ import annotations

import json
from pathlib import Path

for english in sorted(Path(__file__).parent.glob("*.ipynb")):
    if english.name.endswith(".zh-CN.ipynb"):
        continue
    chinese = english.with_name(f"{english.stem}.zh-CN.ipynb")
    source, target = (json.loads(path.read_text(encoding="utf-8")) for path in (english, chinese))
    texts = iter([cell for cell in target["cells"] if cell["cell_type"] == "markdown"])
    target["cells"] = [
        next(texts) if cell["cell_type"] == "markdown" else cell for cell in source["cells"]
    ]
    chinese.write_text(json.dumps(target, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
