#!/bin/sh
# Makes the virtual environment that the lab runs in. Names what is missing, with the command that installs it.
#   PYTHON=python3 sh setup.sh .venv          for the lab
#   PYTHON=python3 sh setup.sh .venv '[test]'  with what the tests need
set -eu
venv=$1
extras=${2:-}
python=${PYTHON:-python3}
missing=0

say() { printf 'setup: %s\n' "$*" >&2; }

# the command that installs a package here, by the package manager that is here
how() { # DEBIAN-NAME BREW-NAME WINGET-NAME
  if command -v apt-get >/dev/null 2>&1; then echo "sudo apt-get install $1"
  elif command -v brew >/dev/null 2>&1; then echo "brew install $2"
  elif command -v dnf >/dev/null 2>&1; then echo "sudo dnf install $1"
  elif command -v winget >/dev/null 2>&1; then echo "winget install $3"
  else echo "your package manager, package $1"
  fi
}

if ! command -v "$python" >/dev/null 2>&1; then
  say "$python is not on PATH; the lab needs Python 3.11 or newer. Install it: $(how python3 python@3.12 Python.Python.3.12)"
  missing=1
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  found=$("$python" -c 'import platform; print(platform.python_version())')
  say "$python is Python $found; the lab needs 3.11 or newer. Install it: $(how python3.11 python@3.12 Python.Python.3.12); then: make PYTHON=python3.11 lab"
  missing=1
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  say "$python has no venv module. Install it: $(how python3-venv python@3.12 Python.Python.3.12)"
  missing=1
fi
if ! command -v git >/dev/null 2>&1; then
  say "git is not on PATH. Install it: $(how git git Git.Git)"
  missing=1
fi
if ! command -v kubectl >/dev/null 2>&1; then
  say "kubectl is not on PATH. Install it: $(how kubectl kubernetes-cli Kubernetes.kubectl); or, with the Azure CLI: az aks install-cli"
  missing=1
fi
[ "$missing" -eq 0 ] || exit 1

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
say "installing the lab into $venv (a minute or two the first time)"
"$venv/bin/pip" install --quiet --disable-pip-version-check -e ".$extras"
# what is installed to be edited is not compiled by pip, and not at a start where PYTHONDONTWRITEBYTECODE is set: then
# every kernel and every sandbox would compile its modules anew
"$venv/bin/python" -m compileall -q azsandbox labkit
# jsonschema imports this grammar compiler whenever it is there, which costs two seconds at every start of Jupyter;
# formats that need it are not checked then, and nothing here has any
"$venv/bin/pip" uninstall --quiet --disable-pip-version-check --yes rfc3987-syntax >/dev/null 2>&1 || true
