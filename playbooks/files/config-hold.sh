# Keep config management from undoing what an incident did, and let it go again. Behind answer.sh.
#
#   puppet        the agent's lock file agent_disabled.lock. `puppet apply` does not look at it, so
#                 cron files that run it are held as well.
#   chef, cinc, ansible-pull, salt-minion
#                 neither has a lock of its own that holds. A condition is put on their systemd
#                 services, and their cron files are put aside.
#
# A lock of somebody else is left as it is, and so is its owner's reason. Only what is noted in
# /etc/holdfast/config-hold is let go. Salt's master and Ansible that is pushed from elsewhere reach
# a host from outside: no file on the host holds them.

note=$root/etc/holdfast/config-hold
aside=$root/etc/holdfast/cron.d
wanted=held
SERVICES="chef-client cinc-client ansible-pull salt-minion puppet-apply"
CRON='puppet apply|chef-client|chef-solo|cinc-client|ansible-pull|salt-call'
found= running= foreign=

add() { eval "$1=\"\${$1}\${$1:+, }\$2\""; }

# The directory of puppet's locks, if puppet is here.
puppet_state() {
  for dir in /opt/puppetlabs/puppet/cache/state /var/cache/puppet/state /var/lib/puppet/state; do
    if [ -d "$root$dir" ]; then
      printf '%s' "$root$dir"
      return 0
    fi
  done
  return 1
}

unit_file() {
  for dir in /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    if [ -f "$root$dir/$1.service" ]; then return 0; fi
  done
  return 1
}

condition() { printf '%s/etc/systemd/system/%s.service.d/99-zz-holdfast.conf' "$root" "$1"; }

cron_files() { grep -lsE "^[^#]*($CRON)" "$root"/etc/cron.d/* 2> /dev/null; }

look() {
  applicable=false safe=false persisted=false reason= found= running= foreign=
  if state=$(puppet_state); then
    add found puppet
    lock=$state/agent_disabled.lock
    if [ ! -f "$lock" ]; then add running puppet
    elif ! grep -qs 'holdfast ' "$lock"; then add foreign "puppet ($(head -c 200 "$lock" | tr -d '\n'))"; fi
  fi
  for service in $SERVICES; do
    unit_file "$service" || continue
    add found "$service"
    [ -f "$(condition "$service")" ] || add running "$service"
  done
  for file in $(cron_files); do
    add found "${file#"$root"}"
    add running "${file#"$root"}"
  done
  for file in "$aside"/*; do
    if [ -f "$file" ]; then add found "/etc/cron.d/${file##*/}"; fi
  done
  if [ -z "$found" ]; then
    reason="no puppet, chef, ansible-pull or salt was found on this host"
    return 1
  fi
  applicable=true
  if [ -z "$running" ]; then live=held safe=true persisted=true; else live="running: $running"; fi
  value_json=$(json "$live")
  [ -z "$foreign" ] || reason="somebody else holds $foreign: that lock is not ours to take away"
  return 0
}

systemd() {
  if [ -d "$root/run/systemd/system" ]; then systemctl "$@" 2>&1; fi
}

hold_puppet() {
  if ! state=$(puppet_state); then return 0; fi
  lock=$state/agent_disabled.lock
  [ -f "$lock" ] && return 0
  said=$(put "$lock" "{\"disabled_message\":\"holdfast $ref: held during an incident\"}" 2>&1) ||
    fail "cannot hold puppet: $said"
  changed=true
}

hold_services() {
  for service in $SERVICES; do
    unit_file "$service" || continue
    file=$(condition "$service")
    [ -f "$file" ] && continue
    was=inactive
    if [ -d "$root/run/systemd/system" ] && systemctl -q is-active "$service"; then was=active; fi
    said=$(put "$file" "# holdfast $ref
# was: $was
# To take this away run the config-release playbook.
[Unit]
ConditionPathExists=!/etc/holdfast/config-hold" 2>&1) || fail "cannot hold $service: $said"
    changed=true
    said=$(systemd daemon-reload) || fail "systemd did not read $service anew: $said"
    [ $was = active ] || continue
    said=$(systemd stop "$service") || fail "$service is held at its next start, and did not stop: $said"
  done
}

hold_cron() {
  for file in $(cron_files); do
    mkdir -p "$aside" && said=$(mv "$file" "$aside/" 2>&1) || fail "cannot put ${file#"$root"} aside: $said"
    changed=true
  done
}

apply() {
  look || return 0
  if [ ! -f "$note" ]; then
    said=$(put "$note" "# holdfast $ref" 2>&1) || fail "cannot note the hold, nothing was done: $said"
    changed=true
  fi
  hold_puppet
  hold_services
  hold_cron
  look
  [ "$safe" = true ] || fail "still running: $running"
}

preview() {
  look || return 0
  [ -z "$running" ] || plan "hold $running"
}

rollback() {
  look
  wanted=running
  if [ ! -f "$note" ]; then
    safe=$applicable persisted=false reason="nothing to release: we hold nothing here"
    return 0
  fi
  if state=$(puppet_state) && grep -qs 'holdfast ' "$state/agent_disabled.lock"; then
    rm -f "$state/agent_disabled.lock" || fail "cannot release puppet"
  fi
  restart=
  for service in $SERVICES; do
    file=$(condition "$service")
    [ -f "$file" ] || continue
    [ "$(noted "$file" was)" = active ] && restart="$restart $service"
    rm -f "$file" || fail "cannot release $service"
    rmdir "${file%/*}" 2> /dev/null
  done
  kept=
  for file in "$aside"/*; do
    [ -f "$file" ] || continue
    back=$root/etc/cron.d/${file##*/}
    # Somebody made it anew meanwhile: theirs stays.
    if [ -e "$back" ]; then add kept "${file#"$root"}"; continue; fi
    said=$(mv "$file" "$back" 2>&1) || fail "cannot put ${back#"$root"} back: $said"
  done
  rmdir "$aside" 2> /dev/null
  rm -f "$note" || fail "cannot remove ${note#"$root"}"
  changed=true
  said=$(systemd daemon-reload) || fail "systemd did not read its units anew: $said"
  for service in $restart; do
    said=$(systemd start "$service") || fail "$service is released and did not start: $said"
  done
  look
  safe=$applicable persisted=false
  [ -z "$foreign" ] || reason="still held by somebody else: $foreign"
  [ -z "$kept" ] || reason="$reason${reason:+; }not put back, for there is a new one: $kept"
}

unpreview() {
  look
  wanted=running
  if [ -f "$note" ]; then plan "release ${found:-what we hold}"; fi
}

case $phase in
  probe | verify) look ;;
  preview | unpreview | apply | rollback) $phase ;;
  *) fail "there is no phase $phase" ;;
esac
answer
exit 0
