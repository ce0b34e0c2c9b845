# What the payloads have in common: POSIX sh, no Python on the host, one line of JSON as the answer.
#
# A playbook puts its variables in front of this file, and the payload of its own behind it:
#   phase   probe | verify (read only) | preview | unpreview (say what would be done)
#           | apply | rollback (write)
#   ref     what files of ours name as their reason
#   root    '' (tests put a directory with its own proc, sys and etc here)
#
# Exit 0: the answer is known. Exit 1: a write failed (the line is printed as well) or nothing could
# be read (it is not), and stderr says why. It never exits 255, which ssh uses for a lost connection.

LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
applicable=false persisted=false safe=false changed=false
value_json=null prior_json=null would= reason= wanted= more=

json() {
  text=$1
  case $text in *[!\ -~]*) text=$(printf '%s' "$text" | tr -c '\040-\176' '?') ;; esac
  case $text in *[\"\\]*) text=$(printf '%s' "$text" | sed 's/["\\]/\\&/g') ;; esac
  printf '"%s"' "$text"
}

# Lines of standard input as a JSON list of texts; what no terminal should show becomes ?.
json_list() {
  tr -d '\r' | tr -c '\012\040-\176' '?' |
    sed -e 's/["\\]/\\&/g' -e 's/.*/"&"/' | paste -s -d , - | sed -e 's/.*/[&]/'
}

answer() {
  boot_id= kernel=
  read -r boot_id < "$root/proc/sys/kernel/random/boot_id"
  read -r kernel < "$root/proc/sys/kernel/osrelease" # uname may be told something else
  said=$phase
  [ "$phase" = unpreview ] && said=preview
  printf '{"holdfast":1,"phase":"%s","applicable":%s,"value":%s,"wanted":%s,' \
    "$said" "$applicable" "$value_json" "$(json "$wanted")"
  printf '"safe":%s,"persisted":%s,"prior":%s,"would":[%s],"changed":%s,' \
    "$safe" "$persisted" "$prior_json" "$would" "$changed"
  printf '"boot_id":%s,"kernel":%s,"reason":%s%s}\n' \
    "$(json "$boot_id")" "$(json "$kernel")" "$(json "$reason")" "$more"
}

# Without a value that was read there is no answer, and nothing that could be taken for one.
fail() {
  reason=$1
  [ "$value_json" = null ] || answer
  printf '%s\n' "$reason" >&2
  exit 1
}

plan() { would="$would${would:+,}$(json "$1")"; }

flush() { sync "$@" 2> /dev/null || sync; }

# Replace file $1 by the text $2 in one step, so that a power cut leaves the old one or the new one.
put() (
  umask 022
  new=${1%/*}/.${1##*/}.new
  mkdir -p "${1%/*}" || exit 1
  # cat names the reason (a full disk), printf cannot
  if printf '%s\n' "$2" | cat > "$new" && flush "$new"; then
    mv -f "$new" "$1" && flush "$1" "${1%/*}"
  else
    rm -f "$new"
    exit 1
  fi
)

# Write $2 to the file $1 of the kernel; tee names the kernel's reason, printf cannot.
write_live() { printf '%s\n' "$2" | tee "$1" 2>&1 > /dev/null; }

# What a comment "# name: text" of our file $1 says.
noted() { sed -n "s/^# $2: //p" "$1" 2> /dev/null | head -n 1; }
