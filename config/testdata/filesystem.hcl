filesystem {
  workspace {
    source    = "."
    read_only = ["/etc", "../x", "[.py", ""]
    hide      = ["secrets/"]
    show      = [".env", ".blast", "README"]
    writable  = ["blast.hcl", ".git/hooks", ".env"]
  }

  mount "models" {
    source = "models"
  }

  mount "/a/../b" {
    source = "models"
  }

  mount "/usr/share/x" {
    source = "models"
  }

  mount "/workspace" {
    source = "models"
  }

  mount "/workspace/secrets/x" {
    source = "models"
  }

  mount "/workspace/models/inner" {
    source = "models"
  }

  mount "/up" {
    source = "../other"
  }

  mount "/home-dir" {
    source = "~/x"
  }

  mount "/root-dir" {
    source = "/"
  }

  mount "/kernel" {
    source = "/proc/sys"
  }

  mount "/absent" {
    source = "no/such"
  }

  mount "/link" {
    source = "link/inner"
  }

  mount "/state" {
    source = ".blast"
  }

  mount "/project" {
    source = "."
  }

  mount "/hidden" {
    source = "secrets"
  }

  mount "/same" {
    source = "models"
  }

  tmpfs "/same" {
    size = "1MiB"
  }

  tmpfs "/nosize" {
  }
}
