# Say which kernel runs, which ones are installed and what is loaded into it. Behind answer.sh, with:
#   fixed  optional: the release that mends the fault; safe says that this one runs
#
# Read only. Which of two releases is newer is not for a shell to say: only the same release counts.

applicable=true persisted=true safe=true
read -r release < "$root/proc/sys/kernel/osrelease"
wanted=$fixed
value_json=$(json "$release")
if [ -n "$fixed" ] && [ "$release" != "$fixed" ]; then
  safe=false reason="the kernel is $release, not $fixed"
fi
if [ -n "$fixed" ] && [ ! -e "$root/boot/vmlinuz-$fixed" ] && [ "$safe" = false ]; then
  reason="$reason, which is not installed either"
fi
up=
if [ -r "$root/proc/uptime" ]; then read -r up _ < "$root/proc/uptime"; fi
taint=
if [ -r "$root/proc/sys/kernel/tainted" ]; then read -r taint < "$root/proc/sys/kernel/tainted"; fi
installed=$(for file in "$root"/boot/vmlinuz-*; do
  if [ -e "$file" ]; then printf '%s\n' "${file##*/vmlinuz-}"; fi
done)
more=",\"report\":{\"uptime_seconds\":$(json "${up%%.*}"),\"taint\":$(json "$taint")"
more="$more,\"command_line\":$(json "$(head -c 2000 "$root/proc/cmdline" 2> /dev/null)")"
more="$more,\"installed\":$(printf '%s' "$installed" | json_list)"
more="$more,\"modules\":$(cut -d ' ' -f 1 "$root/proc/modules" 2> /dev/null | head -n 400 | json_list)}"
answer
exit 0
