environment "none" {
  filesystem {
    alert "mass-delete" {
      event     = "delete"
      threshold = 200
    }
  }
}

environment "off" {
  filesystem {
    track {
      level = "none"
    }

    alert "mass-delete" {
      event     = "delete"
      threshold = 200
    }
  }
}

environment "on" {
  filesystem {
    track {
      level = "some"
      paths = ["src", "/workspace/../etc", "/workspace/[", "/proc/1", "*.pem"]
    }
  }
}

environment "alerts" {
  filesystem {
    track {
    }

    alert "reads" {
      event     = "read"
      threshold = 1
    }

    alert "no-bound" {
      event = "write"
    }

    alert "bytes" {
      event = "delete"
      bytes = "1MiB"
    }

    alert "no name" {
      event     = "delete"
      threshold = 1
    }

    alert "numbers" {
      event     = "remove"
      threshold = 0
      bytes     = 5
      window    = "1ms"
      action    = "stop"
      paths     = ["a/b", ""]
    }

    alert "twice" {
      event     = "delete"
      threshold = 1
    }

    alert "twice" {
      event     = "write"
      threshold = 1
    }

    alert "nothing" {
    }

    alert "learner" {
      event     = "denied"
      threshold = 1
      learn     = "1h"
    }
  }
}
