"""Print the n-th command of the README's section "Two commands", so that CI runs what a reader would."""

import re
import sys
from pathlib import Path

text = Path(__file__).parent.parent.joinpath("README.md").read_text()
section = text.split("## Two commands", 1)[1].split("\n## ", 1)[0]
blocks = re.findall(r"```bash\n(.*?)```", section, re.S)
print(blocks[int(sys.argv[1]) - 1].strip())
