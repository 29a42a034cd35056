# sh ci/step.sh NAME: do one part of the pipeline and leave a line about it in reports/NAME.
# BREAK=git|build|deploy|tests plants a fault where it belongs.
set -eu
mkdir -p reports
echo broken >"reports/$1"

case $1 in
  git)
    [ "$BREAK" != git ] || git rev-parse --verify no-such-branch
    git describe --always | tee /variables/VERSION
    git log -1 --format='%an: %s'
    ;;
  unit-tests)
    [ "$BREAK" != build ] || sed -i 's/LIMIT = 280/LIMIT = 28/' src/guestbook/text.py
    python3 -m unittest discover --start-directory tests/unit --top-level-directory . --verbose
    ;;
  package)
    mkdir -p dist
    python3 -m zipapp src --main guestbook.web:main --output dist/guestbook.pyz
    ls -l dist
    printf '### Guestbook %s\n\n| file | bytes |\n| --- | ---: |\n| `dist/guestbook.pyz` | %s |\n' \
      "$VERSION" "$(stat -c %s dist/guestbook.pyz)" >"$FLOW_SUMMARY" # Markdown, shown at the top of the run
    ;;
  deploy)
    [ "$BREAK" != deploy ] || export DATABASE_URL=postgresql://nobody:wrong@db/postgres
    python3 dist/guestbook.pyz --create-tables
    echo "ok" >reports/deploy
    exec python3 dist/guestbook.pyz
    ;;
  integration-tests)
    [ "$BREAK" != tests ] || export DATABASE_URL=postgresql://postgres:tests@web.deploy/postgres
    python3 -m unittest discover --start-directory tests/integration --top-level-directory . --verbose
    ;;
esac
echo "ok" >"reports/$1"
