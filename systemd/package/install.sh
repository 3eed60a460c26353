#!/bin/sh
# Installs tanist from this folder below /usr/local, starts the service, and starts it again when it was there before.
#   ./install.sh            installs, or upgrades
#   ./install.sh remove     takes everything away but the state, /var/lib/tanist, and what was configured in /etc/tanist
#   ./install.sh purge      takes these away too
set -eu
cd "$(dirname "$0")"
usage() { sed -n '2,5s/^# *//p' "$0" >&2; exit 2; }
[ $# -le 1 ] || usage
[ "$(id -u)" = 0 ] || { echo "install.sh: this needs root: sudo $0 ${1-}" >&2; exit 77; }

running() { [ -d /run/systemd/system ]; }

install_files() {
  find usr -type f | while read -r file; do
    to=/usr/local/${file#usr/}
    mkdir -p "${to%/*}"
    # Never half a file, and the old program goes on running meanwhile.
    cp "$file" "$to.new"
    case $file in *.service) sed -i 's,/usr/\(bin\|libexec\)/tanist,/usr/local/\1/tanist,g' "$to.new" ;; esac
    mv -f "$to.new" "$to"
  done
  # These two look nowhere else.
  install -D -m 644 usr/share/tanist/ufw /etc/ufw/applications.d/tanist
  install -D -m 644 usr/lib/firewalld/services/tanist.xml /etc/firewalld/services/tanist.xml
}

remove_files() {
  find usr -type f | while read -r file; do rm -f "/usr/local/${file#usr/}"; done
  rm -f /etc/ufw/applications.d/tanist /etc/firewalld/services/tanist.xml
  rmdir /usr/local/share/tanist /usr/local/share/doc/tanist /usr/local/libexec/tanist 2>/dev/null || true
  rmdir -p --ignore-fail-on-non-empty /etc/ufw/applications.d /etc/firewalld/services 2>/dev/null || true
  rm -rf /run/tanist
}

case ${1-install} in
  install)
    new=true
    [ ! -e /usr/local/bin/tanist ] || new=false
    install_files
    systemd-sysusers /usr/local/lib/sysusers.d/tanist.conf
    if $new; then systemctl enable --quiet tanist.service; fi
    if running; then
      systemctl daemon-reload
      if $new; then action=start; else action=try-restart; fi
      systemctl $action tanist.service || echo "tanist does not run: systemctl status tanist says why" >&2
    fi
    ;;
  remove | purge)
    if [ -e /usr/local/bin/tanist ]; then
      systemctl disable --quiet tanist.service tanist-target.service
      if running; then systemctl stop tanist-target.service tanist.service tanist.socket; fi
    fi
    remove_files
    if running; then systemctl daemon-reload; fi
    if [ "$1" = purge ]; then
      rm -rf /var/lib/tanist /var/lib/private/tanist /etc/tanist
      userdel tanist 2>/dev/null || true
    fi
    ;;
  *) usage ;;
esac
