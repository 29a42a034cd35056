set -e
# BREAK names the step that shall fail; flow run -v BREAK=build
echo git > status
test "${BREAK:-}" != git
git describe --always | tee /variables/VERSION
echo "git: ok" >> status
