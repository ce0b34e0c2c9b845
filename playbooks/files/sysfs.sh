# Set one file below /sys now and at every later boot. Behind answer.sh, with:
#   path   the file: /sys/kernel/mm/transparent_hugepage/enabled, /sys/module/M/parameters/P
#   wanted the value; of a choice such as "always madvise [never]" the word in brackets counts
#
# It is persisted as a line of tmpfiles.d, which systemd writes at boot before services start.

knob=$root$path
slug=$(printf '%s' "${path#/sys/}" | tr '/.' '--')
ours=$root/etc/tmpfiles.d/zz-holdfast-$slug.conf
wanted=$value
line="w $path - - - - $wanted"
before=

look() {
  if [ -d "$knob" ]; then fail "$path is a directory, not one file"; fi
  if [ ! -e "$knob" ]; then
    applicable=false reason="this kernel has no $path"
    return 1
  fi
  applicable=true safe=false
  live=$(cat "$knob" 2>&1) || fail "cannot read $path: $live"
  case $live in *\[*\]*) live=${live#*\[} live=${live%%\]*} ;; esac
  value_json=$(json "$live")
  [ "$live" = "$wanted" ] && safe=true
  return 0
}

look_persisted() {
  persisted=false reason=
  if [ ! -f "$ours" ]; then
    reason="not persisted: there is no ${ours#"$root"}"
  elif ! grep -qxF "$line" "$ours"; then
    reason="not persisted: ${ours#"$root"} sets something else"
  elif [ ! -d "$root/run/systemd/system" ]; then
    reason="not persisted: without systemd nothing reads ${ours#"$root"} at boot"
  else
    persisted=true
  fi
}

look_prior() {
  prior=$(noted "$ours" prior)
  prior=${prior:-$live}
  prior_json=$(json "$prior")
}

apply() {
  look || return 0
  look_prior
  if ! grep -qsxF "$line" "$ours"; then
    [ -f "$ours" ] && before=$(cat "$ours")
    said=$(put "$ours" "# holdfast $ref
# prior: $prior
# To take this away run the sysfs-unset playbook: it restores the prior value as well.
$line" 2>&1) || fail "cannot persist $path, nothing was set: $said"
    changed=true
  fi
  if [ "$safe" = false ]; then
    if ! said=$(write_live "$knob" "$wanted"); then
      if [ -n "$before" ]; then put "$ours" "$before"; else rm -f "$ours"; fi
      changed=false
      fail "cannot set $path to $wanted, nothing was changed: $said"
    fi
    changed=true
  fi
  look
  look_persisted
  [ "$safe" = true ] || fail "$path reads $live after $wanted was written"
}

preview() {
  look || return 0
  look_prior
  [ "$safe" = true ] || plan "$path: $live -> $wanted"
  grep -qsxF "$line" "$ours" || plan "write ${ours#"$root"}"
}

look_recorded() {
  look
  if [ ! -f "$ours" ]; then
    [ "$applicable" = true ] && wanted=$live
    safe=$applicable
    reason="nothing to roll back: there is no ${ours#"$root"}"
    return 1
  fi
  persisted=true
  prior=$(noted "$ours" prior)
  wanted=${prior:-$live}
  prior_json=$(json "$wanted")
  safe=false
  [ "$live" = "$wanted" ] && safe=$applicable
  return 0
}

rollback() {
  look_recorded || return 0
  if [ "$applicable" = true ] && [ "$safe" = false ]; then
    said=$(write_live "$knob" "$wanted") || fail "cannot set $path back to $wanted: $said"
  fi
  said=$(rm -f "$ours" 2>&1) || fail "cannot remove ${ours#"$root"}: $said"
  flush "${ours%/*}"
  changed=true persisted=false
  look && reason=
  [ "$safe" = "$applicable" ] || fail "$path reads $live after $wanted was written"
}

unpreview() {
  look_recorded || return 0
  [ "$applicable" = false ] || [ "$safe" = true ] || plan "$path: $live -> $wanted"
  plan "remove ${ours#"$root"}"
}

case $phase in
  probe | verify) look && look_persisted ;;
  preview | unpreview | apply | rollback) $phase ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
