env = {
  "1A"  = "x"
  "A=B" = "x"
}

process {
  user         = "0"
  capabilities = ["CAP_SYS_ADMIN", "chwon", "chown"]
}
