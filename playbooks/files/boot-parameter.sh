# Put one parameter on the kernel's command line for the next boot. Behind answer.sh, with:
#   parameter  one word as it stands on the command line: tsc=unstable, irqpoll
#
# Where grubby is (Fedora and its relatives) it changes every boot entry; else a file is put below
# /etc/default/grub.d and update-grub (Debian and its relatives) makes grub.cfg anew. The running
# kernel does not change: the answer is safe only once the host has been booted with it.

ours=$root/etc/default/grub.d/99-zz-holdfast-$(printf '%s' "$parameter" | tr -c 'A-Za-z0-9\n' -).cfg
wanted=$parameter
line="GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX $parameter\""

# Whether $parameter is a word of the text.
has() { case " $1 " in *" $parameter "*) return 0 ;; *) return 1 ;; esac; }

# How this host can be told: grubby, update-grub or nothing.
loader() {
  if command -v grubby > /dev/null 2>&1; then
    echo grubby
  elif command -v update-grub > /dev/null 2>&1 && [ -f "$root/etc/default/grub" ]; then
    echo update-grub
  fi
}

look() {
  how=$(loader)
  live=$(cat "$root/proc/cmdline" 2>&1) || fail "cannot read /proc/cmdline: $live"
  now=absent
  has "$live" && now=present
  value_json=$(json "$now")
  safe=false persisted=false reason=
  if [ -z "$how" ]; then
    applicable=false value_json=null
    reason="neither grubby nor update-grub is here: this host's boot loader is not known"
    return 1
  fi
  applicable=true
  [ $now = present ] && safe=true
  look_next
  if [ "$persisted" = false ]; then
    reason="not persisted: the next boot does not have $parameter"
  elif [ "$safe" = false ]; then
    reason="needs a reboot: the running kernel was started without $parameter"
  fi
}

# Whether every entry of the boot loader has it.
look_next() {
  if [ "$how" = grubby ]; then
    entries=$(grubby --info=ALL 2> /dev/null | sed -n 's/^args="\(.*\)"$/\1/p')
  else
    entries=$(sed -n 's/^[[:space:]]*linux\(16\|efi\)\{0,1\}[[:space:]]//p' "$root/boot/grub/grub.cfg" 2> /dev/null)
  fi
  [ -n "$entries" ] || return 0
  persisted=true
  while IFS= read -r entry; do
    has "$entry" || persisted=false
  done << ENTRIES
$entries
ENTRIES
}

remake() {
  if [ "$how" = grubby ]; then
    said=$(grubby --update-kernel=ALL "$1=$parameter" 2>&1)
  else
    said=$(update-grub 2>&1)
  fi
}

marked() { [ -f "$ours" ]; }

apply() {
  look || return 0
  [ "$persisted" = true ] && return 0
  # The file also tells the rollback that it was us, so it is written with grubby too.
  text=$line
  [ "$how" = grubby ] && text="# set by grubby"
  said=$(put "$ours" "# holdfast $ref
# To take this away run the boot-parameter-unset playbook.
$text" 2>&1) || fail "cannot write ${ours#"$root"}, nothing was done: $said"
  if ! remake --args; then
    kept=$said
    rm -f "$ours"
    fail "$how failed, and ${ours#"$root"} was removed again: $(printf '%s' "$kept" | tail -n 1)"
  fi
  changed=true
  look
  [ "$persisted" = true ] || fail "$how ran, and the next boot still does not have $parameter"
}

preview() {
  look || return 0
  [ "$persisted" = true ] || plan "add $parameter to every boot entry by $how"
  [ "$safe" = true ] || reason="needs a reboot: the running kernel was started without $parameter"
}

rollback() {
  look || return 0
  wanted="without $parameter"
  if ! marked; then
    safe=true reason="nothing to roll back: there is no ${ours#"$root"}"
    return 0
  fi
  kept=$(cat "$ours")
  said=$(rm -f "$ours" 2>&1) || fail "cannot remove ${ours#"$root"}: $said"
  if ! remake --remove-args; then
    why=$(printf '%s' "$said" | tail -n 1)
    put "$ours" "$kept"
    fail "$how failed, nothing was taken back: $why"
  fi
  changed=true
  look
  safe=false
  if [ "$persisted" = true ]; then
    fail "$parameter is still on a boot entry: something else puts it there"
  fi
  reason=
  if [ "$now" = absent ]; then safe=true; else
    reason="needs a reboot: the running kernel was started with $parameter"
  fi
}

unpreview() {
  look || return 0
  if marked; then plan "take $parameter off every boot entry by $how"; fi
  wanted="without $parameter"
}

case $phase in
  probe | verify) look ;;
  preview | unpreview | apply | rollback) $phase ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
