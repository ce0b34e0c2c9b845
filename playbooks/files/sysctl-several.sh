# Several sysctls as one step, in the order in which they are given. Behind sysctl.sh, with:
#   settings  key=value;key=value; the order is that of writing, and a rollback goes backwards
#
# Keys that bound each other refuse a wrong order, at boot too: so they are persisted in one file, in
# that order. Keys that this kernel lacks are left out; a host that has none of them is not applicable.

settings=$(printf '%s' "$settings" | tr ';' '\n')
first=${settings%%=*}
file=$root/etc/sysctl.d/99-zz-holdfast-several-$(printf '%s' "$first" | tr / .).conf
goal=$(printf '%s' "$settings" | paste -s -d ' ' -)
written=

# Aim at one line of the settings; all of them share one file.
take() {
  aim "${1%%=*}" "${1#*=}"
  ours=$file
}

backwards() { printf '%s\n' "$1" | sed '1!G;h;$!d'; }

# What is there: which keys (have), their values, whether all are safe and will be so at boot.
look_all() {
  have= values= missing= beaten_by= all_safe=true all_persisted=true
  while IFS= read -r line; do
    take "$line"
    if ! look; then
      missing="$missing${missing:+, }$key"
      continue
    fi
    have="$have${have:+
}$line"
    values="$values${values:+ }$key=$live"
    [ "$safe" = true ] || all_safe=false
    if [ ! -f "$ours" ] || [ "$(setting "$ours")" != "$wanted" ]; then
      all_persisted=false
    else
      beaten=$(rival)
      if [ -n "$beaten" ]; then all_persisted=false beaten_by=$beaten; fi
    fi
  done << SETTINGS
$settings
SETTINGS
  wanted=$goal applicable=true safe=$all_safe persisted=$all_persisted reason=
  value_json=$(json "$values")
  if [ -z "$have" ]; then
    applicable=false safe=false persisted=false value_json=null
    reason="this kernel has none of $missing"
    return 1
  fi
  if [ "$persisted" = false ]; then
    reason="not persisted: ${beaten_by:-${file#"$root"} does not set all of them}"
  elif [ -n "$missing" ]; then
    reason="this kernel has no $missing"
  fi
}

# The text of our file: the values before our first write, then the settings.
text_of_all() {
  printf '# To take this away run the sysctl-several-unset playbook: it restores the prior values as well.\n'
  while IFS= read -r line; do
    take "$line"
    look
    before_us=$(noted_prior "$key")
    printf '# prior %s = %s\n' "$key" "${before_us:-$live}"
  done << HAVE
$have
HAVE
  printf '%s\n' "$have" | sed 's/=/ = /'
}

noted_prior() { sed -n "s|^# prior $1 = ||p" "$file" 2> /dev/null | head -n 1; }

# Put back what this run has written, the last first, and the file as it was.
take_back() {
  backwards "$written" | while IFS= read -r line; do
    if [ -n "$line" ]; then
      aim "${line%%=*}" "${line#*=}"
      write_live "${line#*=}" > /dev/null
    fi
  done
  ours=$file
  if [ -n "$before" ]; then put "$before"; else rm -f "$file"; fi
  changed=false
}

apply_all() {
  look_all || return 0
  text=$(text_of_all)
  if [ "$(grep -v '^# holdfast ' "$file" 2> /dev/null)" != "$text" ]; then
    [ -f "$file" ] && before=$(cat "$file")
    ours=$file
    said=$(put "# holdfast $ref
$text" 2>&1) || fail "cannot persist them, nothing was set: $said"
    changed=true
  fi
  while IFS= read -r line; do
    take "$line"
    look
    [ "$safe" = true ] && continue
    if ! said=$(write_live "$wanted"); then
      name=$key value=$wanted
      take_back
      look_all
      fail "cannot set $name to $value, nothing was changed: $said"
    fi
    changed=true written="$written${written:+
}$key=$live"
  done << HAVE
$have
HAVE
  look_all
  [ "$safe" = true ] || fail "they read $values after $goal was written"
}

preview_all() {
  look_all || return 0
  while IFS= read -r line; do
    take "$line"
    look
    [ "$safe" = true ] || plan "$key: $live -> $wanted"
  done << HAVE
$have
HAVE
  wanted=$goal safe=$all_safe
  [ "$(grep -v '^# holdfast ' "$file" 2> /dev/null)" = "$(text_of_all)" ] || plan "write ${file#"$root"}"
}

# The recorded values, the last first.
recorded() { sed -n 's/^# prior \([^ ]*\) = /\1=/p' "$file" 2> /dev/null | sed '1!G;h;$!d'; }

rollback_all() {
  if [ ! -f "$file" ]; then
    look_all
    safe=$applicable reason="nothing to roll back: there is no ${file#"$root"}"
    return 0
  fi
  settings=$(recorded)
  goal=$(printf '%s' "$settings" | paste -s -d ' ' -)
  prior_json=$(json "$goal")
  while IFS= read -r line; do
    take "$line"
    look || continue
    [ "$safe" = true ] && continue
    said=$(write_live "$wanted") || fail "cannot set $key back to $wanted: $said"
    changed=true
  done << PRIOR
$settings
PRIOR
  said=$(rm -f "$file" 2>&1) || fail "cannot remove ${file#"$root"}: $said"
  flush "${file%/*}"
  changed=true
  look_all && reason=
  persisted=false
  [ "$safe" = "$applicable" ] || fail "they read $values after $goal was written"
}

unpreview_all() {
  if [ -f "$file" ]; then
    settings=$(recorded)
    goal=$(printf '%s' "$settings" | paste -s -d ' ' -)
    while IFS= read -r line; do
      take "$line"
      look && [ "$safe" = false ] && plan "$key: $live -> $wanted"
    done << PRIOR
$settings
PRIOR
    plan "remove ${file#"$root"}"
  fi
  look_all
  reason=
}

case $phase in
  probe | verify) look_all ;;
  preview | unpreview | apply | rollback) "${phase}_all" ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
