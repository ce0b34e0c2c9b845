# Collect what is left of a crash: read only, bounded in size. Behind answer.sh, with:
#   lines  how many lines of the kernel's log at most
#
# Nothing is copied away and nothing is deleted: pstore keeps its records until somebody removes them.

limit=48000 # characters of each part, so that the answer stays small
wanted=
applicable=true safe=true persisted=true

log_lines() {
  {
    if [ -r "$root/var/log/kern.log" ] && [ -n "$root" ]; then
      cat "$root/var/log/kern.log"
    else
      dmesg 2> /dev/null || journalctl -k -b -n "$lines" -o short-monotonic --no-pager 2> /dev/null
    fi
  } | tail -n "$lines" | tail -c "$limit"
}

# Size in bytes, time of change and name of the entries of a directory, the newest first.
listing() { ls -lt "$1" 2> /dev/null | sed -n '2,41p'; }

# The records of the last crash: a kernel that died wrote them, part by part, in reverse order.
records() {
  for file in "$root"/sys/fs/pstore/dmesg-* "$root"/var/lib/systemd/pstore/*/dmesg.txt; do
    if [ -r "$file" ]; then
      printf '== %s\n' "${file#"$root"}"
      cat "$file"
    fi
  done | head -c "$limit"
}

taint=unknown
if [ -r "$root/proc/sys/kernel/tainted" ]; then read -r taint < "$root/proc/sys/kernel/tainted"; fi
log=$(log_lines)
[ -n "$log" ] || reason="the kernel's log cannot be read by this user, or is empty"
value_json=$(json "taint $taint")
more=",\"evidence\":{\"log\":$(printf '%s' "$log" | json_list)"
more="$more,\"pstore\":$(listing "$root/sys/fs/pstore" | json_list)"
more="$more,\"records\":$(records | json_list)"
more="$more,\"crash\":$(listing "$root/var/crash" | json_list)}"
answer
exit 0
