# SPDX-License-Identifier: MIT
#
# What is installed: the library, lib/include/kirim/, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

install(TARGETS kirim EXPORT kirim-targets)
get_property(public_headers GLOBAL PROPERTY KIRIM_PUBLIC_HEADERS)
install(FILES ${public_headers} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kirim")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/kirim")
install(EXPORT kirim-targets NAMESPACE kirim:: DESTINATION "${package_dir}" FILE kirim-config.cmake)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kirim-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/kirim-config-version.cmake" DESTINATION "${package_dir}")

# The prefix is found from where the file lies, so that `cmake --install --prefix` may change it.
file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
set(pc_definitions "")
if(NOT BUILD_SHARED_LIBS)
    set(pc_definitions " -DKIRIM_STATIC")
endif()
# A static library brings along what it needs; a shared one has it already.
set(pc_libs "")
if(NOT BUILD_SHARED_LIBS)
    foreach(library IN LISTS system_libraries)
        string(APPEND pc_libs " -l${library}")
    endforeach()
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/kirim.pc.in" "${PROJECT_BINARY_DIR}/kirim.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/kirim.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
