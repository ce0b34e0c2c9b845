# Take a host out of service by the site's own commands, or back. Behind answer.sh, with:
#   drain, undrain  what to run: an absolute path and plain words, no shell
#   drained         optional: exits 0 when the host takes no work
#
# What was done is noted in /etc/holdfast/drained, so that a second run does nothing and only what we
# drained is put back. With the command in `drained` its answer counts, not the note.

ours=$root/etc/holdfast/drained
wanted=drained

# Run a command of plain words: they are split at blanks, and nothing else is done with them.
run() (
  set -f
  # shellcheck disable=SC2086 # splitting is the point
  set -- $1
  exec "$@" < /dev/null
)

look() {
  applicable=true safe=false persisted=false reason=
  program=${drain%% *}
  if [ ! -x "$root$program" ] && [ ! -x "$program" ]; then
    applicable=false reason="there is no program $program on this host"
    return 1
  fi
  live=serving
  if [ -n "$drained" ]; then
    run "$drained" > /dev/null 2>&1 && live=drained
  elif [ -f "$ours" ]; then
    live=drained
  fi
  value_json=$(json "$live")
  if [ $live = drained ]; then safe=true persisted=true; fi
}

apply() {
  look || return 0
  if [ $live = drained ]; then
    [ -f "$ours" ] || reason="it was drained before, not by us: a rollback leaves it so"
    return 0
  fi
  said=$(run "$drain" 2>&1) || fail "$drain failed: $(printf '%s' "$said" | tail -n 1)"
  changed=true
  said=$(put "$ours" "# holdfast $ref" 2>&1) || fail "it is drained, but that cannot be noted: $said"
  look
  [ "$safe" = true ] || fail "$drain ran, and $drained says that the host still takes work"
}

preview() {
  look || return 0
  [ "$safe" = true ] || plan "run $drain"
}

rollback() {
  look || return 0
  wanted=serving
  if [ ! -f "$ours" ]; then
    safe=true persisted=false reason="nothing to roll back: we did not drain it"
    return 0
  fi
  if [ $live = drained ]; then
    said=$(run "$undrain" 2>&1) || fail "$undrain failed: $(printf '%s' "$said" | tail -n 1)"
  fi
  rm -f "$ours" || fail "cannot remove ${ours#"$root"}"
  changed=true
  look
  persisted=false
  if [ $live = serving ]; then safe=true; else
    safe=false
    fail "$undrain ran, and $drained says that the host takes no work"
  fi
}

unpreview() {
  look || return 0
  wanted=serving
  if [ -f "$ours" ]; then plan "run $undrain"; fi
}

case $phase in
  probe | verify) look ;;
  preview | unpreview | apply | rollback) $phase ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
