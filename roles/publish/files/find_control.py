"""Which control planes can be used here: prints {"collection": path or "", "missing": [packages], "az": path or ""}.

Runs on the controller with the Python that runs Ansible. Arguments: the collection paths.
"""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path


def find_collection(folders):
    """The directory of azure.azcollection, in the collection paths or beside ansible in site-packages."""
    places = [Path(folder).expanduser() for folder in folders]
    places += [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    for place in places:
        for candidate in (place / "ansible_collections/azure/azcollection", place / "azure/azcollection"):
            if (candidate / "plugins/modules/azure_rm_resource.py").is_file():
                return candidate
    return None


def missing_packages(collection):
    """The packages that the collection requires and this Python has not; its modules import them all at once."""
    missing = []
    for line in (collection / "requirements.txt").read_text().splitlines():
        found = re.match(r"[A-Za-z0-9._-]+", line.strip())
        if found is None:
            continue
        try:
            importlib.metadata.version(found.group(0))
        except importlib.metadata.PackageNotFoundError:
            missing.append(found.group(0))
    return missing


collection = find_collection(sys.argv[1:])
requirements = collection is not None and (collection / "requirements.txt").is_file()
print(
    json.dumps(
        {
            "collection": str(collection or ""),
            "missing": missing_packages(collection) if requirements else [],
            "az": shutil.which("az") or "",
        }
    )
)
