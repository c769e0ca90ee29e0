secret {
  from = "env:A"
}

secret "no-name" {
  from = "env:B"
}

secret "NOWHERE" {
}

secret "BARE" {
  from = "DATABASE_URL"
}

secret "VAULT" {
  from = "vault:kv/db"
}

secret "ODD" {
  from = "env:A B"
}

secret "UP" {
  from = "file:../token"
}

secret "HOME_FILE" {
  from = "file:~/token"
}

secret "LITERAL" {
  value = "hush"
}

secret "TWICE" {
  from = "env:C"
}

secret "TWICE" {
  from = "env:D"
}

secret "IN_ENV" {
  from = "env:E"
}

env = {
  IN_ENV = "x"
}
