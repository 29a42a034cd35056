set -e
echo "integration-tests" >> status
test "$(qa/app)" = "app $VERSION"
test "${BREAK:-}" != integration-tests
echo "integration-tests: ok" >> status
