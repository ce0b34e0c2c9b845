# Say which of the named sysctls this host has, and which modules are loaded. Behind answer.sh, with:
#   names  sysctls, separated by blanks, with dots
#
# Nothing is read but names: whether a file is there, and the first word of each line of /proc/modules.

applicable=true safe=true persisted=true wanted=
here=$(
  set -f
  for name in $names; do
    path=$root/proc/sys/$(printf '%s' "$name" | tr . /)
    if [ -f "$path" ]; then printf '%s\n' "$name"; fi
  done
)
modules=$(cut -d ' ' -f 1 "$root/proc/modules" 2> /dev/null)
value_json=$(json "$(printf '%s' "$here" | grep -c .) sysctls, $(printf '%s' "$modules" | grep -c .) modules")
more=",\"names\":{\"sysctls\":$(printf '%s' "$here" | json_list),\"modules\":$(printf '%s' "$modules" | json_list)}"
answer
exit 0
