# The one payload of the sysctl playbooks: POSIX sh, no Python on the host, one answer.
#
# It is sent with these set in front of it:
#   phase   probe | verify (read only) | preview | unpreview (say what would be done)
#           | apply | rollback (write)
#   key     one sysctl, with dots or slashes as in sysctl(8): the first of them is the separator
#   wanted  the value to set or to compare with
#   ref     what the persist file names as its reason
#   root    '' (tests put a directory with its own proc and etc here)
#
# It prints one line of JSON. Exit 0: the answer is known. Exit 1: a write failed (the line is
# printed as well) or the value cannot be read (it is not), and stderr says why. It never exits 255, which ssh uses for a lost connection. It reads the one named
# key only: on some kernels reading every key, as `sysctl -a` does, crashes the host.

LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
applicable=false persisted=false safe=false changed=false
value_json=null prior_json=null would= reason= live= before=

fold() (
  set -f
  # shellcheck disable=SC2086 # splitting is the point: runs of whitespace become one space
  set -- $1
  printf '%s' "$*"
)

json() {
  text=$1
  case $text in *[!\ -~]*) text=$(printf '%s' "$text" | tr -c '\040-\176' '?') ;; esac
  case $text in *[\"\\]*) text=$(printf '%s' "$text" | sed 's/["\\]/\\&/g') ;; esac
  printf '"%s"' "$text"
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
  printf '"boot_id":%s,"kernel":%s,"reason":%s}\n' \
    "$(json "$boot_id")" "$(json "$kernel")" "$(json "$reason")"
}

# Without a value that was read there is no answer, and nothing that could be taken for one.
fail() {
  reason=$1
  [ "$value_json" = null ] || answer
  printf '%s\n' "$reason" >&2
  exit 1
}

plan() { would="$would${would:+,}$(json "$1")"; }

# The last value that file $1 gives our key; nothing if it does not name it.
setting() {
  fold "$(sed -n "s/^[[:space:]]*-\{0,1\}[[:space:]]*$pattern[[:space:]]*=//p" "$1" | tail -n 1)"
}

# A file of the same name in a directory that comes before hides this one altogether.
hidden() {
  for dir in /etc /run /usr/local/lib /usr/lib; do
    higher=$root$dir/sysctl.d/${1##*/}
    [ "$higher" = "$1" ] && return 1
    if [ -e "$higher" ] || [ -L "$higher" ]; then return 0; fi
  done
  return 1
}

# Name a file that is read after ours and says something else. Files are read in the order of their
# names wherever they are, and procps reads /etc/sysctl.conf last of all (a link 99-sysctl.conf to
# it sorts before ours and is harmless). Patterns with * are left out: a line that names the key
# wins over them in procps and in systemd.
rival() {
  hits=$(grep -ls "^[[:space:]]*-\{0,1\}[[:space:]]*$pattern[[:space:]]*=" \
    "$root"/etc/sysctl.d/*.conf "$root"/run/sysctl.d/*.conf "$root"/usr/local/lib/sysctl.d/*.conf \
    "$root"/usr/lib/sysctl.d/*.conf "$root"/lib/sysctl.d/*.conf "$root"/etc/sysctl.conf)
  printf '%s\n' "$hits" | while IFS= read -r file; do
    if [ -z "$file" ] || [ "$file" = "$ours" ]; then continue; fi
    if [ "$file" != "$root/etc/sysctl.conf" ]; then
      expr "x${file##*/}" '>' "x${ours##*/}" > /dev/null || continue
      hidden "$file" && continue
    fi
    theirs=$(setting "$file")
    [ "$theirs" = "$wanted" ] && continue
    printf '%s sets it to %s and is read after ours' "${file#"$root"}" "$theirs"
    break
  done
}

# One write at a time, and no reading while one goes on: a write outlives a connection that was cut.
# Where there is no flock(1) or no lock, readers can only wait long enough before they ask.
locked=
alone() {
  [ -z "$locked" ] || return 0
  locked=yes lock=$root/run/holdfast.lock
  command -v flock > /dev/null 2>&1 || return 0
  if [ "$1" = -s ]; then
    [ -r "$lock" ] || return 0
    exec 9< "$lock"
  else
    (: >> "$lock") 2> /dev/null || return 0
    exec 9>> "$lock"
  fi
  for _ in 1 2 3 4 5; do # not every flock can wait by itself
    flock "$1" -n 9 9<&9 && return 0 # ksh hands descriptors on only when told to
    sleep 1
  done
  fail "a write is still under way on this host: what it has is not known yet"
}

look() {
  case $phase in
    probe | verify) alone -s ;;
    apply | rollback) alone -x ;;
  esac
  [ -d "$knob" ] && fail "$key names a directory, not one sysctl"
  if [ ! -e "$knob" ]; then
    reason="this kernel has no $key"
    return 1
  fi
  applicable=true safe=false
  live=$(cat "$knob" 2>&1) || fail "cannot read $key: $live"
  live=$(fold "$live")
  value_json=$(json "$live")
  [ "$live" = "$wanted" ] && safe=true
  return 0
}

look_persisted() {
  persisted=false
  if [ ! -f "$ours" ]; then
    reason="not persisted: there is no ${ours#"$root"}"
  elif [ "$(setting "$ours")" != "$wanted" ]; then
    reason="not persisted: ${ours#"$root"} sets it to $(setting "$ours")"
  else
    beaten=$(rival)
    if [ -n "$beaten" ]; then reason="not persisted: $beaten"; else persisted=true reason=; fi
  fi
}

# The value before the first of our writes: what the persist file remembers, else what is live.
look_prior() {
  prior=
  if [ -f "$ours" ]; then prior=$(sed -n 's/^# prior: //p' "$ours" | head -n 1); fi
  if [ -z "$prior" ]; then prior=$live; fi
  prior_json=$(json "$prior")
}

flush() { sync "$@" 2> /dev/null || sync; }

# Replace our file by $1 in one step, so that a power cut leaves the old one or the new one.
put() (
  umask 022
  new=${ours%/*}/.${ours##*/}.new
  mkdir -p "${ours%/*}" || exit 1
  # cat names the reason (a full disk), printf cannot
  if printf '%s\n' "$1" | cat > "$new" && flush "$new"; then
    mv -f "$new" "$ours" && flush "$ours" "${ours%/*}"
  else
    rm -f "$new"
    exit 1
  fi
)

write_live() {
  printf '%s\n' "$1" | tee "$knob" 2>&1 > /dev/null # tee names the kernel's reason, printf cannot
}

persist() {
  if [ -f "$ours" ]; then
    [ "$(setting "$ours")" = "$wanted" ] && grep -q '^# prior: ' "$ours" && return 0
    before=$(cat "$ours")
  fi
  said=$(put "# holdfast $ref
# prior: $prior
# To take this away run the sysctl-unset playbook: it restores the prior value as well.
$key = $wanted" 2>&1) || fail "cannot persist $key, nothing was set: $said"
  changed=true
}

unpersist() {
  [ "$changed" = true ] || return 0
  if [ -n "$before" ]; then put "$before"; else rm -f "$ours"; fi
  changed=false
}

apply() {
  look || return 0
  look_prior
  persist # first, so that a host which dies in between has the value at its next boot
  if [ "$safe" = false ]; then
    if ! said=$(write_live "$wanted"); then
      unpersist
      fail "cannot set $key to $wanted, nothing was changed: $said"
    fi
    changed=true
  fi
  look
  look_persisted
  [ "$safe" = true ] || fail "$key reads $live after $wanted was written"
}

preview() {
  look || return 0
  look_prior
  [ "$safe" = true ] || plan "$key: $live -> $wanted"
  look_persisted
  if [ ! -f "$ours" ] || [ "$(setting "$ours")" != "$wanted" ]; then
    plan "write ${ours#"$root"}"
    reason=$(rival)
    [ -n "$reason" ] && reason="will not be persisted: $reason"
  fi
}

# What a rollback wants is the recorded value. Returns 1 when there is nothing of ours.
look_recorded() {
  look
  if [ ! -f "$ours" ]; then
    [ "$applicable" = true ] && wanted=$live
    safe=$applicable
    reason="nothing to roll back: there is no ${ours#"$root"}"
    return 1
  fi
  prior=$(sed -n 's/^# prior: //p' "$ours" | head -n 1)
  persisted=true
  if [ -z "$prior" ]; then
    reason="${ours#"$root"} records no prior value: the live value stays as it is"
    prior=$live
  else
    prior_json=$(json "$prior")
  fi
  wanted=$prior safe=false
  [ "$live" = "$wanted" ] && safe=$applicable
  return 0
}

rollback() {
  look_recorded || return 0
  if [ "$applicable" = true ] && [ "$safe" = false ]; then
    said=$(write_live "$wanted") || fail "cannot set $key back to $wanted: $said"
    changed=true
  fi
  said=$(rm -f "$ours" 2>&1) || fail "cannot remove ${ours#"$root"}: $said"
  flush "${ours%/*}"
  changed=true persisted=false safe=false
  kept=$reason
  look && reason=$kept
  [ "$safe" = "$applicable" ] || fail "$key reads $live after $wanted was written"
}

unpreview() {
  look_recorded || return 0
  [ "$applicable" = false ] || [ "$safe" = true ] || plan "$key: $live -> $wanted"
  plan "remove ${ours#"$root"}"
}

# Point every function at the sysctl $1 and its wanted value $2.
aim() {
  key=$1 wanted=$(fold "$2") path=$1
  case $key in
    *[./]*) case ${key#"${key%%[./]*}"} in .*) path=$(printf '%s' "$key" | tr './' '/.') ;; esac ;;
  esac
  knob=$root/proc/sys/$path
  pattern=$(printf '%s' "$key" | sed 's|[./]|[./]|g')
  ours=$root/etc/sysctl.d/99-zz-holdfast-$(printf '%s' "$key" | tr / .).conf
}

# With settings the file behind this one carries out several of them.
if [ -z "${settings:-}" ]; then
  aim "$key" "$wanted"
  case $phase in
    probe | verify) look && look_persisted ;;
    preview | unpreview | apply | rollback) $phase ;;
    *) fail "there is no phase $phase" ;;
  esac
  answer
  exit 0
fi
