# Block a kernel module, and unload it where nobody uses it. Behind answer.sh, with:
#   module  its name; - and _ are the same to the kernel
#
# "install X /bin/false" also stops a request by name, which "blacklist X" does not. A module that is
# in use is never taken out by force: it is blocked for the next boot, and the answer is not safe.

name=$(printf '%s' "$module" | tr - _)
ours=$root/etc/modprobe.d/zz-holdfast-$name.conf
wanted="not loaded, blocked"
line="install $name /bin/false"

# The directory of the running kernel's modules: built in ones are listed there too.
modules=$root/lib/modules/$(cat "$root/proc/sys/kernel/osrelease" 2> /dev/null)

built_in() {
  dashed=$(printf '%s' "$name" | tr _ -)
  grep -q -e "/$name\.ko" -e "/$dashed\.ko" "$modules/modules.builtin" 2> /dev/null
}

on_disk() {
  dashed=$(printf '%s' "$name" | tr _ -)
  grep -q -e "/$name\.ko" -e "/$dashed\.ko" "$modules/modules.dep" 2> /dev/null
}

# The line of /proc/modules: name, size, uses, users ("-" or "a,b,").
loaded() { grep "^$name " "$root/proc/modules" 2> /dev/null; }

look() {
  applicable=true safe=false persisted=false reason=
  if built_in; then
    applicable=false reason="$name is built into this kernel: it cannot be blocked or unloaded"
    return 1
  fi
  row=$(loaded)
  if [ -z "$row" ] && ! on_disk && [ ! -f "$ours" ]; then
    applicable=false reason="this kernel has no module $name"
    return 1
  fi
  uses=$(printf '%s' "$row" | cut -d ' ' -f 3) users=$(printf '%s' "$row" | cut -d ' ' -f 4)
  blocked=no
  grep -qs "^$line\$" "$ours" && blocked=yes
  if [ -z "$row" ]; then live="not loaded"; else live="loaded, used by $uses"; fi
  case $users in '' | -) ;; *) live="$live (${users%,})" ;; esac
  if [ $blocked = yes ]; then value="$live, blocked"; else value="$live, not blocked"; fi
  value_json=$(json "$value")
  if [ $blocked = yes ]; then persisted=true; fi
  if [ -z "$row" ] && [ $blocked = yes ]; then safe=true; fi
  if [ $blocked = no ]; then
    reason="not persisted: there is no ${ours#"$root"}"
  elif [ -n "$row" ]; then
    reason="$name is still loaded: it goes away at the next boot"
  fi
}

unloadable() { [ -n "$row" ] && [ "$uses" = 0 ]; }

apply() {
  look || return 0
  if [ $blocked = no ]; then
    was=no
    [ -n "$row" ] && was=yes
    said=$(put "$ours" "# holdfast $ref
# was loaded: $was
# To take this away run the module-unblock playbook.
$line" 2>&1) || fail "cannot block $name, nothing was done: $said"
    changed=true
  fi
  if unloadable; then
    # The block stops loading, not unloading. A use that began meanwhile makes it fail, harmlessly.
    if said=$(modprobe -r "$name" 2>&1); then changed=true; fi
  fi
  kept=$said
  look
  [ "$safe" = true ] || case $reason in
    *"still loaded"*) reason="$reason; ${kept:+$kept; }reboot the host when that is possible" ;;
  esac
}

preview() {
  look || return 0
  [ $blocked = yes ] || plan "write ${ours#"$root"}"
  if unloadable; then plan "unload $name"; fi
  if [ -n "$row" ] && [ "$uses" != 0 ]; then
    reason="$name is in use ($live) and will not be unloaded: it goes away at the next boot"
  fi
}

# Loading it again is left to whoever needs it: the kernel asks for it by itself.
rollback() {
  if [ ! -f "$ours" ]; then
    look
    wanted=$value safe=$applicable
    [ "$applicable" = true ] && reason="nothing to roll back: there is no ${ours#"$root"}"
    return 0
  fi
  prior_json=$(json "$(noted "$ours" "was loaded")")
  said=$(rm -f "$ours" 2>&1) || fail "cannot remove ${ours#"$root"}: $said"
  flush "${ours%/*}"
  changed=true
  wanted="not blocked"
  look
  safe=$applicable
  reason="the module is loaded again when something asks for it"
}

unpreview() {
  look
  [ -f "$ours" ] && plan "remove ${ours#"$root"}"
  wanted="not blocked"
}

case $phase in
  probe | verify) look ;;
  preview | unpreview | apply | rollback) $phase ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
