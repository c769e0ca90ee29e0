check "fine" {
  command = ["true"]
}

check "fine" {
  command = ["false"]
}

check "nothing" {
}

check "empty" {
  command = []
}

check "nameless" {
  command = ["", "x"]
}

check "shell" {
  command = "python -c 'import app'"
}

check "never" {
  command = ["true"]
  timeout = "0"
}

check "long" {
  command = ["true"]
  timeout = "2h"
}

check "unit" {
  command = ["true"]
  timeout = 10
}

check "../up" {
  command = ["true"]
}

check {
  command = ["true"]
}

check "a" "b" {
  command = ["true"]
}

check "near" {
  comand  = ["true"]
  timeout = "10"
}

check "numbers" {
  command = ["sleep", 1]
}

check "nul" {
  command = ["echo", "a\u0000b"]
}
