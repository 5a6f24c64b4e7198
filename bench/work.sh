# What shell scripts do: arithmetic, words, functions, subshells, and small programs.
count=0
join() {
    joined="$joined$1"
}
i=0
while [ $i -lt 8000 ]; do
    i=$((i + 1))
    case $i in
        *7) count=$((count + i)) ;;
        *3) join x ;;
    esac
    if [ ${#joined} -gt 100 ]; then
        joined=${joined%x?????????????????}
    fi
done
i=0
while [ $i -lt 50 ]; do
    i=$((i + 1))
    word=$(echo "$i" | cat)
    count=$((count + word))
    (exit 3) || count=$((count + $?))
    /bin/true
done
echo "$count ${#joined}"
