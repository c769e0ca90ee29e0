package pep508

import "strings"

// Environment is the values of the variables that markers may ask for, of one
// interpreter on one machine.
type Environment struct {
	ImplementationName           string `json:"implementation_name"`            // cpython
	ImplementationVersion        string `json:"implementation_version"`         // 3.11.2
	OSName                       string `json:"os_name"`                        // posix
	PlatformMachine              string `json:"platform_machine"`               // x86_64
	PlatformPythonImplementation string `json:"platform_python_implementation"` // CPython
	PlatformRelease              string `json:"platform_release"`               // 6.1.0-13-amd64
	PlatformSystem               string `json:"platform_system"`                // Linux
	PlatformVersion              string `json:"platform_version"`               // #1 SMP Debian 6.1.55-1
	PythonFullVersion            string `json:"python_full_version"`            // 3.11.2
	PythonVersion                string `json:"python_version"`                 // 3.11
	SysPlatform                  string `json:"sys_platform"`                   // linux

	// Extra is the one extra that is wanted when Evaluate is given none.
	Extra string `json:"extra,omitempty"`
	// Extras and DependencyGroups are for the markers of lock files (PEP 751).
	Extras           []string `json:"extras,omitempty"`
	DependencyGroups []string `json:"dependency_groups,omitempty"`
}

// variables maps each spelling, old ones with dots included, to the name.
var variables = map[string]string{
	"implementation_name":            "implementation_name",
	"implementation_version":         "implementation_version",
	"os_name":                        "os_name",
	"os.name":                        "os_name",
	"platform_machine":               "platform_machine",
	"platform.machine":               "platform_machine",
	"platform_python_implementation": "platform_python_implementation",
	"platform.python_implementation": "platform_python_implementation",
	"python_implementation":          "platform_python_implementation",
	"platform_release":               "platform_release",
	"platform_system":                "platform_system",
	"platform_version":               "platform_version",
	"platform.version":               "platform_version",
	"python_full_version":            "python_full_version",
	"python_version":                 "python_version",
	"sys_platform":                   "sys_platform",
	"sys.platform":                   "sys_platform",
	"extra":                          "extra",
	"extras":                         "extras",
	"dependency_groups":              "dependency_groups",
}

const variableNames = "python_version, python_full_version, os_name, sys_platform, platform_machine, platform_release, platform_system, " +
	"platform_version, platform_python_implementation, implementation_name, implementation_version and extra"

// value returns the value of a variable that is one text.
func (e *Environment) value(variable string) string {
	switch variable {
	case "implementation_name":
		return e.ImplementationName
	case "implementation_version":
		return e.ImplementationVersion
	case "os_name":
		return e.OSName
	case "platform_machine":
		return e.PlatformMachine
	case "platform_python_implementation":
		return e.PlatformPythonImplementation
	case "platform_release":
		return e.PlatformRelease
	case "platform_system":
		return e.PlatformSystem
	case "platform_version":
		return e.PlatformVersion
	case "python_full_version":
		if strings.HasSuffix(e.PythonFullVersion, "+") { // built from a changed source: no valid version without a label
			return e.PythonFullVersion + "local"
		}
		return e.PythonFullVersion
	case "python_version":
		return e.PythonVersion
	case "sys_platform":
		return e.SysPlatform
	}
	return ""
}
