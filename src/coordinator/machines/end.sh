vigie_main() {
  umask 077
  # Also for one that is about to start.
  vigie_find || { vigie_folder && vigie_file="$vigie_base/$vigie_key"; } || exit 1
  [ ! -e "$vigie_file.exit" ] || exit 0
  echo >"$vigie_file.@MARK@"
  vigie_boot; vigie_now=$vigie_boot
  vigie_pid=- vigie_at= vigie_boot=
  { read -r vigie_pid vigie_at vigie_boot vigie_rest <"$vigie_file.pid"; } 2>/dev/null
  [ "$vigie_pid" != - ] && [ -n "$vigie_pid" ] && [ "$vigie_boot" = "$vigie_now" ] || exit 0
  # A number is not given away as long as a group has it; its first process may be gone.
  if vigie_ticks "$vigie_pid" && [ "$vigie_ticks" != "$vigie_at" ]; then exit 0; fi
  kill -s @SIGNAL@ -- "-$vigie_pid" 2>/dev/null || kill -s @SIGNAL@ "$vigie_pid" 2>/dev/null
  exit 0
}
vigie_main
