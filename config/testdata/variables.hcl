variable "required" {
  type = string
}

variable "typo" {
  typ = string
}

variable "type" {
  type = strng
}

variable "default" {
  type    = number
  default = "x"
}

variable "version" {
  type    = string
  default = 3.10
}

variable "deep" {
  type    = object({ tags = list(string) })
  default = { tags = ["a", 1] }
}

variable "null" {
  type     = string
  nullable = false
  default  = null
}

variable "checked" {
  default = "a"

  validation {
    condition     = length(var.checked) > 3
    error_message = "Too short"
  }

  validation {
    condition     = "yes"
    error_message = "x"
  }
}

variable "token" {
  default   = "hush"
  sensitive = true
}

variable "9" {
}

env = {
  TOKEN = "x${var.token}"
  D     = var.default
}
