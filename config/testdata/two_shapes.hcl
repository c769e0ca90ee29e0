python {
  version = "3.11"
}

env = {
  A = "b"
}

environment "dev" {
}

environment "dev" {
}

environment "../x" {
}
