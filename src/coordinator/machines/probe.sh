vigie_main() {
  vigie_folder || exit 1
  for vigie_tool in cat find id kill mkdir mkfifo mv rm sleep; do
    command -v "$vigie_tool" >/dev/null || { echo "vigie: there is no $vigie_tool there" >&2; exit 1; }
  done
  # What nobody asked for within a week.
  find "$vigie_base/." -type f -mtime +7 ! -name '*.pid' -exec rm -f {} + 2>/dev/null
  echo "@READY@"
  exit 0
}
vigie_main
