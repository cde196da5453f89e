"""What is told of a machine, read from trees laid out as Linux lays out /proc and /sys."""

from __future__ import annotations

from pathlib import Path

from benchmarks.subjects.environment import celsius, clocks, environment


def test_reads_what_a_small_arm_board_tells(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 62.50\n\nModel\t\t: NVIDIA Jetson Orin Nano Developer Kit\n",
        "proc/meminfo": "MemTotal:        7802720 kB\nMemFree:          100 kB\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "729600\n",
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1510400\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone1/temp": "51093\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "sys/class/thermal/thermal_zone2").mkdir()  # a sensor that is off
    found = environment(tmp_path)
    assert found["cpu"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert found["memory_bytes"] == 7802720 * 1024
    assert (found["governor"], found["mhz"], found["max_mhz"]) == ("schedutil", 729.6, 1510.4)
    assert found["celsius"] == 51.093


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    assert clocks(tmp_path) == {"governor": None, "mhz": None, "max_mhz": None}
    assert celsius(tmp_path) is None
    assert environment(tmp_path)["memory_bytes"] is None
    assert environment()["cpu"]
