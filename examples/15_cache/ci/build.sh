echo "building with $LEVEL"
mkdir -p out/empty
cat src/* > out/app
echo "$LEVEL, ${#TOKEN}" >> out/app
chmod +x out/app
dd if=/dev/zero of=out/large bs=1024 count=2048 2> /dev/null
rm -f old
echo "$LEVEL build" > /variables/BUILT
