blast {
  required_version = ">= 9"
  required_verison = "1"
}

output "a" {
  value = "http://${environment.dev.network.ingress.web.publish}"
}

output "b" {
  value = var.missing
}

output "c" {
}
