set -e
echo "build" >> status
test "${BREAK:-}" != build
mkdir -p dist
sed "s/@VERSION@/$VERSION/" app.sh > dist/app.sh
echo "build: ok" >> status
